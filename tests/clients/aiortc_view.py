"""Watches a room with aiortc until standard input ends, and tells what is decoded.

usage: aiortc_view.py WHEP_URL [VIEWERS [SRTP_PROFILE]]
Events: `video` and `audio` with the frames so far (every tenth), `summary` with what each viewer saw.
"""

import asyncio
import sys

from common import end, exchange, tell, until_stdin_ends

from aiortc import RTCPeerConnection, rtcdtlstransport
from aiortc.mediastreams import MediaStreamError


class Viewer:
    """One peer connection and what it has seen."""

    def __init__(self, number):
        self.number = number
        self.seen = {"audio": {"frames": 0}, "video": {"frames": 0}}
        self.pc = RTCPeerConnection()
        self.pc.addTransceiver("audio", direction="recvonly")
        self.pc.addTransceiver("video", direction="recvonly")
        self.pc.on("track", lambda track: asyncio.ensure_future(self.watch(track)))

    async def watch(self, track):
        """Counts frames and the largest step between their times; a step back is counted apart."""
        seen, last_s = self.seen[track.kind], None
        seen.update(steps_back=0, longest_step_s=0.0)
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            at_s = float(frame.pts * frame.time_base)
            if last_s is not None:
                seen["steps_back"] += at_s <= last_s
                seen["longest_step_s"] = max(seen["longest_step_s"], at_s - last_s)
            last_s = at_s
            seen["frames"] += 1
            if track.kind == "video":
                seen.update(width=frame.width, height=frame.height)
            if seen["frames"] % 10 == 1:
                tell(track.kind, viewer=self.number, **seen)

    async def summary(self):
        """Adds what the receivers count: packets that never came show a leap of sequence numbers."""
        for stats in (await self.pc.getStats()).values():
            if stats.type == "inbound-rtp":
                self.seen[stats.kind].update(packets=stats.packetsReceived, lost=stats.packetsLost)
        return self.seen


def offer_only(profile):
    """Leaves one protection profile in the DTLS handshake."""
    kept = [it for it in rtcdtlstransport.SRTP_PROFILES if it.openssl_profile.decode() == profile]
    assert kept, f"{profile} is none of aiortc's"
    rtcdtlstransport.SRTP_PROFILES[:] = kept


async def main(url, viewers="1", profile=None):
    if profile:
        offer_only(profile)
    watching = [Viewer(number) for number in range(int(viewers))]
    sessions = [await exchange(viewer.pc, url) for viewer in watching]
    tell("joined", viewers=len(watching))
    await until_stdin_ends()
    seen = [await viewer.summary() for viewer in watching]
    deleted = [await end(viewer.pc, session) for viewer, session in zip(watching, sessions)]
    tell("summary", viewers=seen, deleted=deleted)


asyncio.run(main(*sys.argv[1:]))
