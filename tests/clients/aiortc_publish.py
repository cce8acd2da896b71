"""Publishes a moving picture and a tone with aiortc until standard input ends.

usage: aiortc_publish.py WHIP_URL VP8|H264
"""

import asyncio
import math
import struct
import sys
from fractions import Fraction

from common import end, exchange, tell, until_stdin_ends

from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender, VideoStreamTrack
from av import AudioFrame, VideoFrame

WIDTH, HEIGHT = 320, 240
SAMPLE_RATE, SAMPLES = 48_000, 960


class Picture(VideoStreamTrack):
    """A bright bar that wanders over a dark ground, at the 30 frames per second of aiortc."""

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        bar = (pts // 3000 * 4) % (WIDTH - 40)
        row = bytes([40] * bar + [220] * 40 + [40] * (WIDTH - 40 - bar))
        frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
        for plane, line in zip(frame.planes, (row, bytes([110]) * (WIDTH // 2), bytes([150]) * (WIDTH // 2))):
            plane.update(line.ljust(plane.line_size, b"\0") * plane.height)
        frame.pts, frame.time_base = pts, time_base
        return frame


class Tone(MediaStreamTrack):
    """A tone of 400 Hz: eight whole waves fit into each 20 ms."""

    kind = "audio"

    def __init__(self):
        super().__init__()
        samples = (int(8000 * math.sin(2 * math.pi * 400 * n / SAMPLE_RATE)) for n in range(SAMPLES))
        self.wave = struct.pack(f"<{SAMPLES}h", *samples)
        self.frames, self.begun = 0, None

    async def recv(self):
        now = asyncio.get_running_loop().time()
        self.begun = self.begun or now
        await asyncio.sleep(max(0, self.begun + self.frames * SAMPLES / SAMPLE_RATE - now))
        frame = AudioFrame(format="s16", layout="mono", samples=SAMPLES)
        frame.planes[0].update(self.wave)
        frame.pts, frame.sample_rate, frame.time_base = self.frames * SAMPLES, SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
        self.frames += 1
        return frame


async def main(url, codec):
    pc = RTCPeerConnection()
    pc.addTransceiver(Tone(), direction="sendonly")
    video = pc.addTransceiver(Picture(), direction="sendonly")
    codecs = RTCRtpSender.getCapabilities("video").codecs
    video.setCodecPreferences([known for known in codecs if known.mimeType == f"video/{codec}"])
    pc.on("connectionstatechange", lambda: tell("state", state=pc.connectionState))
    session = await exchange(pc, url)
    await until_stdin_ends()
    tell("summary", deleted=await end(pc, session))


asyncio.run(main(*sys.argv[1:]))
