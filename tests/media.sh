#!/usr/bin/env bash
# Generates the media files that the tests and `onair demo` need. What is there and was made by this very script stays.
#
# Every clip: 1 s between keyframes, sound and picture of one length, no B-frames unless its name says so.
# usage: tests/media.sh [demo]      with `demo` only the clip of `onair demo`
set -euo pipefail
cd "$(dirname "$0")/.."

media=target/media
stamp=$(sha256sum "$0" | cut -d' ' -f1)
mkdir -p "$media" target/demo

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
opus=(-c:a libopus -b:a 64k -ac 2)
h264=(-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 30 -keyint_min 30 -sc_threshold 0 -b:v 800k -maxrate 1M -bufsize 1M)
plain=(-profile:v baseline -tune zerolatency)

# A slow field of colour and a ball that goes round once in ten seconds, with five soft notes: all of it repeats
# after ten seconds, so the loop has no seam. The field is computed small, because geq is slow.
demo() {
    local field="geq=lum='96+44*sin(X/40+2*PI*T/10)+36*sin(Y/28-4*PI*T/10)':cb='128+46*sin((X+Y)/70+2*PI*T/10)':cr='128+46*cos((X-Y)/60-2*PI*T/10)'"
    local ball="geq=lum=235:cb=128:cr=128:a='255*clip(22-hypot(X-24,Y-24),0,1)'"
    local note="if(lt(mod(t,5),1),261.6,if(lt(mod(t,5),2),329.6,if(lt(mod(t,5),3),392,if(lt(mod(t,5),4),440,392))))"
    local pluck="0.10*sin(2*PI*($note)*mod(t,1))*exp(-4*mod(t,1))*min(1,mod(t,1)*100)"
    clip target/demo/demo.mp4 \
        -f lavfi -i "color=gray:size=320x180:rate=30:duration=10,format=yuv444p,$field,scale=1280:720:flags=bicubic" \
        -f lavfi -i "color=white:size=48x48:rate=30:duration=10,format=yuva444p,$ball" \
        -f lavfi -i "aevalsrc=exprs='$pluck':sample_rate=48000:duration=10" \
        -filter_complex "[0][1]overlay=x='616+420*sin(2*PI*t/10)':y='336-240*cos(2*PI*t/10)',format=yuv420p[v]" -map '[v]' -map 2:a \
        -c:v libx264 -profile:v baseline -level 3.1 -preset medium -tune zerolatency \
        -g 30 -keyint_min 30 -sc_threshold 0 -b:v 1500k -maxrate 2M -bufsize 2M -c:a libopus -b:a 64k -ac 2
}

demo
if [ "${1:-}" = demo ]; then
    exit
fi
clip $media/h264-opus.mp4 $(picture 640x360 12) $(sound 12) "${h264[@]}" "${plain[@]}" "${opus[@]}"
clip $media/h264-only.mp4 $(picture 640x360 6) "${h264[@]}" "${plain[@]}"
clip $media/h264-bframes-opus.mp4 $(picture 640x360 6) $(sound 6) "${h264[@]}" -profile:v main -bf 2 -b_strategy 0 "${opus[@]}"
clip $media/opus-only.mp4 $(sound 6) "${opus[@]}"
clip $media/vp9-opus.mp4 $(picture 320x180 8) $(sound 8) -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -lag-in-frames 0 \
    -auto-alt-ref 0 -g 30 -keyint_min 30 -b:v 400k -pix_fmt yuv420p "${opus[@]}"
clip $media/av1-opus.mp4 $(picture 320x180 8) $(sound 8) -c:v libaom-av1 -usage realtime -cpu-used 8 -lag-in-frames 0 \
    -g 30 -keyint_min 30 -b:v 400k -pix_fmt yuv420p "${opus[@]}"
