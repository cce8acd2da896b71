"""An RTSP camera: GStreamer's server with test pictures and a tone, until standard input ends.

usage: rtsp_camera.py [--port N] [--video h264|bframes|h265|none] [--audio aac|pcmu|pcma|l16|none] [--login USER:PASSWORD]
                      [--only tcp|udp]
Events: `ready` with the port, `played` with the number of sessions so far. The line `mute` on standard input stops all media
of the present session, which stays. Runs with the Python that Debian's gir1.2-gst-rtsp-server-1.0 is for.
"""

import argparse
import json
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

PICTURE = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=360,framerate=25/1"
TONE = "audiotestsrc is-live=true freq=1000"
# A keyframe a second.
VIDEO = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 bitrate=1000 ! video/x-h264,profile=baseline"
    " ! valve name=video ! rtph264pay pt=96",
    "bframes": "x264enc speed-preset=ultrafast bframes=2 b-adapt=false rc-lookahead=4 sync-lookahead=0 key-int-max=24"
    " bitrate=1000 ! video/x-h264,profile=main ! valve name=video ! rtph264pay pt=96",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=25 bitrate=800"
    " ! valve name=video ! h265parse ! rtph265pay pt=96",
}
AUDIO = {
    "aac": "audio/x-raw,rate=44100,channels=2 ! avenc_aac bitrate=96000 ! valve name=audio ! rtpmp4gpay pt=97",
    "pcmu": "audio/x-raw,rate=8000,channels=1 ! mulawenc ! valve name=audio ! rtppcmupay",
    "pcma": "audio/x-raw,rate=8000,channels=1 ! alawenc ! valve name=audio ! rtppcmapay",
    "l16": "audio/x-raw,rate=44100,channels=2 ! audioconvert ! valve name=audio ! rtpL16pay pt=98",
}
PROTOCOLS = {"tcp": GstRtsp.RTSPLowerTrans.TCP, "udp": GstRtsp.RTSPLowerTrans.UDP}
ROLE = "viewer"


def tell(event, **fields):
    """Prints an event for the test."""
    print(json.dumps({"event": event, **fields}), flush=True)


def pipeline(video, audio):
    """Describes the media, each track ending in `payN`."""
    tracks = []
    if video != "none":
        tracks.append(f"{PICTURE} ! {VIDEO[video]}")
    if audio != "none":
        tracks.append(f"{TONE} ! {AUDIO[audio]}")
    return "( " + " ".join(f"{track} name=pay{number}" for number, track in enumerate(tracks)) + " )"


def lock(server, factory, login):
    """Has clients log in by digest."""
    user, password = login.split(":", 1)
    auth, token = GstRtspServer.RTSPAuth.new(), GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, ROLE)
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    auth.add_digest(user, password, token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    for permission in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role(ROLE, permission, True)
    factory.set_permissions(permissions)


class Camera:
    """The media that was set up last."""

    def __init__(self):
        self.element, self.sessions = None, 0

    def configure(self, _factory, media):
        self.element = media.get_element()
        self.sessions += 1
        tell("played", sessions=self.sessions)

    def mute(self):
        for name in ("video", "audio"):
            valve = self.element.get_by_name(name) if self.element else None
            if valve:
                valve.set_property("drop", True)
        tell("muted")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", default="0")
    parser.add_argument("--video", default="h264")
    parser.add_argument("--audio", default="none")
    parser.add_argument("--login")
    parser.add_argument("--only", choices=PROTOCOLS)
    wanted = parser.parse_args()
    Gst.init(None)
    loop, camera = GLib.MainLoop(), Camera()
    server, factory = GstRtspServer.RTSPServer.new(), GstRtspServer.RTSPMediaFactory.new()
    server.set_address("127.0.0.1")
    server.set_service(wanted.port)
    factory.set_launch(pipeline(wanted.video, wanted.audio))
    factory.set_shared(True)
    factory.connect("media-configure", camera.configure)
    if wanted.only:
        factory.set_protocols(PROTOCOLS[wanted.only])
    if wanted.login:
        lock(server, factory, wanted.login)
    server.get_mount_points().add_factory("/cam", factory)
    if server.attach(None) == 0:
        sys.exit("the port is taken")

    def listen():
        for line in sys.stdin:
            if line.strip() == "mute":
                GLib.idle_add(camera.mute)
        loop.quit()

    threading.Thread(target=listen, daemon=True).start()
    tell("ready", port=server.get_bound_port())
    loop.run()


main()
