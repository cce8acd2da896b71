#!/usr/bin/env bash
# Generates the media files that the tests need. What is there and was made by this very script stays.
#
# Every clip: 1 s between keyframes unless its name says otherwise, sound and picture of one length, no B-frames unless its name says so.
set -euo pipefail
cd "$(dirname "$0")/.."

media=target/media
stamp=$(sha256sum "$0" | cut -d' ' -f1)
mkdir -p "$media"

# clip FILE ARGUMENTS...: encodes with ffmpeg, and the file appears only when it is whole.
clip() {
    local file=$1
    shift
    if [ -f "$file" ] && [ "$(cat "$file.stamp" 2>/dev/null)" = "$stamp" ]; then
        return
    fi
    echo "media: $file"
    ffmpeg -nostdin -hide_banner -v error -y "$@" -movflags +faststart -strict -2 "$file.part.mp4"
    mv "$file.part.mp4" "$file"
    echo "$stamp" >"$file.stamp"
}

# The running time is part of the picture of testsrc2.
picture() { echo -f lavfi -i "testsrc2=size=$1:rate=30:duration=$2"; }
sound() { echo -f lavfi -i "sine=frequency=440:sample_rate=48000:duration=$1"; }
# No two packets of noise are the same.
noise() { echo -f lavfi -i "anoisesrc=color=pink:amplitude=0.3:sample_rate=48000:duration=$1:seed=1"; }
opus=(-c:a libopus -b:a 64k -ac 2)
h264=(-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 30 -keyint_min 30 -sc_threshold 0 -b:v 800k -maxrate 1M -bufsize 1M)
plain=(-profile:v baseline -tune zerolatency)

clip $media/h264-opus.mp4 $(picture 640x360 12) $(sound 12) "${h264[@]}" "${plain[@]}" "${opus[@]}"
clip $media/h264-gop10-opus.mp4 $(picture 640x360 20) $(sound 20) "${h264[@]}" "${plain[@]}" -g 300 -keyint_min 300 "${opus[@]}"
clip $media/h264-only.mp4 $(picture 640x360 6) "${h264[@]}" "${plain[@]}"
clip $media/h264-bframes-opus.mp4 $(picture 640x360 6) $(sound 6) "${h264[@]}" -profile:v main -bf 2 -b_strategy 0 "${opus[@]}"
clip $media/opus-only.mp4 $(sound 6) "${opus[@]}"
clip $media/vp9-opus.mp4 $(picture 320x180 8) $(sound 8) -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -lag-in-frames 0 \
    -auto-alt-ref 0 -g 30 -keyint_min 30 -b:v 400k -pix_fmt yuv420p "${opus[@]}"
clip $media/av1-opus.mp4 $(picture 320x180 8) $(sound 8) -c:v libaom-av1 -usage realtime -cpu-used 8 -lag-in-frames 0 \
    -g 30 -keyint_min 30 -b:v 400k -pix_fmt yuv420p "${opus[@]}"
# Open groups: the pictures that lead a keyframe refer to the group before it.
h265=(-c:v libx265 -preset ultrafast -pix_fmt yuv420p -tag:v hvc1 -b:v 400k)
x265="log-level=error:pools=1:keyint=30:min-keyint=30:scenecut=0"
clip $media/h265-opus.mp4 $(picture 322x182 8) $(sound 8) "${h265[@]}" -x265-params "$x265:bframes=0" "${opus[@]}"
clip $media/h265-bframes-opus.mp4 $(picture 322x182 6) $(sound 6) "${h265[@]}" \
    -x265-params "$x265:bframes=2:b-adapt=0:open-gop=1" "${opus[@]}"
# Every packet is another one, so that a recording can be held against the clip.
clip $media/h264-distinct-opus.mp4 $(picture 640x360 12) $(noise 12) "${h264[@]}" "${plain[@]}" "${opus[@]}"
# 2 MB a second: the first part of an upload is full after a few seconds.
clip $media/h264-heavy-opus.mp4 $(picture 1280x720 8),noise=alls=40:allf=t $(noise 8) "${h264[@]}" "${plain[@]}" \
    -preset ultrafast -b:v 16M -maxrate 16M -bufsize 4M "${opus[@]}"

# Keyframes at 0, 1, 2, 3, 13 and 43 s, and another size from 13 s on: a stream in an MP4 whose parameter sets change within.
irregular() {
    local size=$1 seconds=$2 keyframes=$3
    ffmpeg -nostdin -hide_banner -v error -f lavfi -i "testsrc2=size=$size:rate=30:duration=$seconds" "${h264[@]}" "${plain[@]}" \
        -g 9999 -keyint_min 1 -force_key_frames "$keyframes" -f h264 -
}
streams=$(mktemp -d)
trap 'rm -rf "$streams"' EXIT
if [ "$(cat $media/h264-irregular-opus.mp4.stamp 2>/dev/null)" != "$stamp" ]; then
    { irregular 640x360 13 0,1,2,3 && irregular 320x180 77 0,30; } >"$streams/irregular.h264"
fi
clip $media/h264-irregular-opus.mp4 -r 30 -f h264 -i "$streams/irregular.h264" $(sound 90) -map 0:v -map 1:a -c:v copy "${opus[@]}"
