"""Reads media playlists with the m3u8 package: each line of the input is a JSON list of texts, each of the output what it
found in them."""

import json
import sys

import m3u8


def segment(found):
    init = found.init_section.uri if found.init_section else None
    return [found.uri, found.duration, bool(found.discontinuity), init]


def playlist(text):
    found = m3u8.loads(text)
    return {
        "target_duration": found.target_duration,
        "media_sequence": found.media_sequence,
        "discontinuity_sequence": found.discontinuity_sequence,
        "has_end_list": found.is_endlist,
        # Parts of what is not whole yet come without a URI.
        "segments": [segment(one) for one in found.segments if one.uri],
    }


for line in sys.stdin:
    print(json.dumps({"event": "parsed", "playlists": [playlist(text) for text in json.loads(line)]}), flush=True)
