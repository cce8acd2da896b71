"""Reads a live media playlist with the m3u8 package and prints what it found, as one JSON object."""

import json
import sys
import urllib.request

import m3u8


def main(url):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20) as answer:
        text = answer.read().decode()
    playlist = m3u8.loads(text)
    parts = [part for segment in playlist.segments for part in segment.parts]
    print(
        json.dumps(
            {
                "event": "read",
                "text": text,
                "segments": len([segment for segment in playlist.segments if segment.uri]),
                "parts": [[part.uri, part.duration, part.independent == "YES"] for part in parts],
                "part_target": playlist.part_inf.part_target,
                "can_block_reload": playlist.server_control.can_block_reload,
                "part_hold_back": playlist.server_control.part_hold_back,
                "hint": playlist.preload_hint.uri,
                "reports": [[it.uri, it.last_msn, it.last_part] for it in playlist.rendition_reports],
            }
        )
    )


main(sys.argv[1])
