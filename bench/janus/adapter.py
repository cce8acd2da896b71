#!/usr/bin/env python3
"""WHIP and WHEP in front of Janus' videoroom, so that Janus can be measured with the clients that measure onair.

It owns the signalling alone: media goes straight between client and Janus, and sdp.py makes the answers. It promises
that whatever a client sends ends as an HTTP answer. Starting Janus is the business of run.sh.

usage: adapter.py --janus http://HOST:PORT/janus --listen HOST:PORT
Prints its URL when it is ready, and ends when Janus is gone.
"""

import argparse
import json
import os
import re
import secrets
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import sdp

# The only publisher of a room; its viewers ask for it by this id.
FEED = "publisher"

# An offer of a browser with every codec is about 10 kB.
BODY_MAX_BYTES = 64 * 1024

# How long Janus may take for one step of the signalling.
STEP_TIMEOUT_S = 10

# Janus answers a long poll after 30 s at the latest.
POLL_TIMEOUT_S = 45

# Events that one poll may bring: hundreds of viewers may join at once.
EVENTS_A_POLL = 50

ROOM = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")

# How long a publisher may take from the answer until viewers can join.
PUBLISHER_TIMEOUT_S = 5

# Error codes of the videoroom.
NO_SUCH_ROOM, ROOM_EXISTS, NO_SUCH_FEED = 426, 427, 428

# Those that are not Janus' own fault (502): too many publishers, an id in use, SDP that it does not take.
HTTP_STATUS = {432: 409, 436: 409, 437: 406}


class Refused(Exception):
    """An HTTP status and why."""

    def __init__(self, status, why):
        super().__init__(why)
        self.status = status


class Janus:
    """One session of Janus' HTTP API. Each client of ours is a handle of it, one thread polls the events of all."""

    def __init__(self, url):
        self.url = url
        # The environment may name a proxy for the world outside.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.lock = threading.Lock()
        # Who waits for the event of a transaction: the event comes on another connection than the request.
        self.waiting = {}
        self.on_hangup = lambda handle: None
        self.session = self.call("", {"janus": "create"})["data"]["id"]

    def call(self, path, body, timeout=STEP_TIMEOUT_S):
        """Sends a request, or polls when there is no body. Raises `Refused` when Janus does not do it."""
        data = None
        if body is not None:
            data = json.dumps({"transaction": secrets.token_hex(8), **body}).encode()
        request = urllib.request.Request(self.url + path, data=data)
        try:
            with self.opener.open(request, timeout=timeout) as answer:
                reply = json.load(answer)
        except (OSError, ValueError) as error:
            raise Refused(502, f"Janus does not answer: {error}") from error
        if body is not None and reply.get("janus") == "error":
            raise Refused(502, f"Janus: {reply['error']['reason']}")
        return reply

    def attach(self):
        """Returns a new handle of the videoroom."""
        return self.call(f"/{self.session}", {"janus": "attach", "plugin": "janus.plugin.videoroom"})["data"]["id"]

    def detach(self, handle):
        """Ends a handle and its PeerConnection."""
        self.call(f"/{self.session}/{handle}", {"janus": "detach"})

    def message(self, handle, body, jsep=None):
        """Sends a message to the videoroom, and returns what it says to it: the data, and SDP or nothing."""
        transaction, arrived = secrets.token_hex(8), threading.Event()
        message = {"janus": "message", "transaction": transaction, "body": body}
        if jsep:
            message["jsep"] = jsep
        with self.lock:
            self.waiting[transaction] = slot = [arrived, None]
        try:
            reply = self.call(f"/{self.session}/{handle}", message)
            if reply["janus"] == "ack":
                if not arrived.wait(STEP_TIMEOUT_S):
                    raise Refused(504, f"Janus did not answer to {body['request']}")
                reply = slot[1]
        finally:
            with self.lock:
                del self.waiting[transaction]
        if reply["janus"] == "error":
            raise Refused(502, f"Janus: {reply['error']['reason']}")
        data = reply["plugindata"]["data"]
        if "error_code" in data:
            raise VideoroomError(data["error_code"], data["error"])
        return data, reply.get("jsep", {}).get("sdp")

    def poll(self):
        """Hands events to those who wait, until Janus is gone. That it polls keeps the session alive, too."""
        while True:
            events = self.call(f"/{self.session}?maxev={EVENTS_A_POLL}", None, POLL_TIMEOUT_S)
            for event in events if isinstance(events, list) else [events]:
                with self.lock:
                    slot = self.waiting.get(event.get("transaction"))
                if slot and event["janus"] in ("event", "error"):
                    slot[1] = event
                    slot[0].set()
                elif event["janus"] == "hangup":
                    threading.Thread(target=self.on_hangup, args=(event["sender"],), daemon=True).start()
                elif event["janus"] == "timeout":
                    raise Refused(502, "Janus ended the session")


class VideoroomError(Refused):
    """What the videoroom refuses, with its own code."""

    def __init__(self, code, why):
        super().__init__(HTTP_STATUS.get(code, 502), f"videoroom: {why}")
        self.code = code


class Adapter:
    """The sessions of all clients."""

    def __init__(self, janus):
        self.janus = janus
        self.lock = threading.Lock()
        self.handles = {}
        self.rooms = set()
        # The session of each room's publisher.
        self.publishers = {}
        janus.on_hangup = self.hung_up

    def publish(self, room, offer):
        """Starts a broadcast, in place of the one that the room may have. Returns the id of the session and the answer.

        Janus as an ICE-lite agent does not find out that a publisher was killed, so the next one must be let in.
        """
        sdp.Description(offer)  # for its errors
        body = {"request": "joinandconfigure", "room": room, "ptype": "publisher", "id": FEED}

        def start(handle):
            self.create(handle, room)
            with self.lock:
                before = self.publishers.pop(room, None)
            if before:
                self.close(before)
            _, answer = self.janus.message(handle, body, {"type": "offer", "sdp": offer})
            if answer and not sdp.is_accepted(answer):
                raise Refused(406, "a room takes H.264 and Opus")
            return answer

        session, answer = self.open(start)
        with self.lock:
            self.publishers[room] = session
        return session, answer

    def view(self, room, offer):
        """Lets a viewer in. Returns the id of the session and the answer."""
        client = sdp.Description(offer)

        def start(handle):
            janus_offer = self.join(handle, room, time.monotonic() + PUBLISHER_TIMEOUT_S)
            if not janus_offer:
                raise Refused(409, "nobody publishes here")
            for_client, for_janus = sdp.answers(client, sdp.Description(janus_offer))
            self.janus.message(handle, {"request": "start"}, {"type": "answer", "sdp": for_janus})
            return for_client

        return self.open(start)

    def join(self, handle, room, deadline):
        """Returns Janus' offer to a viewer. A publisher who has an answer, but no connection yet, is waited for."""
        join = {"request": "join", "room": room, "ptype": "subscriber", "streams": [{"feed": FEED}]}
        while True:
            try:
                return self.janus.message(handle, join)[1]
            except VideoroomError as error:
                if error.code not in (NO_SUCH_ROOM, NO_SUCH_FEED):
                    raise
                with self.lock:
                    expected = room in self.publishers
                if not expected or time.monotonic() >= deadline:
                    raise Refused(409, "nobody publishes here") from error
            time.sleep(0.05)

    def open(self, start):
        """Gives `start` a handle, which stays when it succeeds."""
        handle = self.janus.attach()
        try:
            answer = start(handle)
            if not answer:
                raise Refused(502, "Janus gave no SDP")
        except Exception:
            self.janus.detach(handle)
            raise
        session = secrets.token_urlsafe(16)
        with self.lock:
            self.handles[session] = handle
        return session, answer

    def close(self, session):
        """Ends a session. Returns whether there was one."""
        with self.lock:
            handle = self.handles.pop(session, None)
            self.publishers = {room: publisher for room, publisher in self.publishers.items() if publisher != session}
        if handle is None:
            return False
        self.janus.detach(handle)
        return True

    def hung_up(self, handle):
        """Forgets the session of a PeerConnection that ended."""
        with self.lock:
            session = next((session for session, known in self.handles.items() if known == handle), None)
        if session:
            try:
                self.close(session)
            except Refused as error:
                print(f"adapter: {error}", file=sys.stderr)

    def create(self, handle, room):
        """Creates a room unless it is there."""
        with self.lock:
            if room in self.rooms:
                return
        create = {
            "request": "create",
            "room": room,
            "publishers": 1,
            "audiocodec": "opus",
            "videocodec": "h264",
            # The profile that every WebRTC client offers (RFC 7742 §6.2), where the publisher offers several.
            "h264_profile": "42e01f",
            # Nothing that Janus would do for a conference, and onair does not do.
            "bitrate": 0,
            "fir_freq": 0,
            "notify_joining": False,
            "audiolevel_event": False,
        }
        try:
            self.janus.message(handle, create)
        except VideoroomError as error:
            if error.code != ROOM_EXISTS:
                raise
        with self.lock:
            self.rooms.add(room)


class Handler(BaseHTTPRequestHandler):
    """WHIP (RFC 9725) and WHEP, as far as clients of a benchmark need it: no PATCH, no CORS, no tokens."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60
    adapter = None

    def do_POST(self):
        """Opens a session."""
        self.handled(self.post)

    def do_DELETE(self):
        """Ends a session."""
        self.handled(self.delete)

    def post(self):
        offer = self.body()
        kind, _, room = urllib.parse.urlsplit(self.path).path.lstrip("/").partition("/")
        room = urllib.parse.unquote(room)
        if kind not in ("whip", "whep") or not ROOM.fullmatch(room):
            raise Refused(404, "POST goes to /whip/ROOM or /whep/ROOM")
        if self.headers.get_content_type() != "application/sdp":
            raise Refused(415, "an offer is application/sdp")
        try:
            session, answer = (self.adapter.publish if kind == "whip" else self.adapter.view)(room, offer)
        except sdp.Unacceptable as error:
            raise Refused(error.status, str(error)) from error
        self.reply(201, answer, "application/sdp", {"Location": f"/session/{session}"})

    def delete(self):
        self.body()
        kind, _, session = urllib.parse.urlsplit(self.path).path.lstrip("/").partition("/")
        if kind != "session" or not self.adapter.close(session):
            raise Refused(404, "no such session")
        self.reply(200)

    def body(self):
        """Reads the body: also one that nobody wants, for the next request comes behind it."""
        try:
            length = int(self.headers.get("Content-Length", 0))
            if not 0 <= length <= BODY_MAX_BYTES or "Transfer-Encoding" in self.headers:
                raise ValueError
            return self.rfile.read(length).decode()
        except ValueError as error:
            self.close_connection = True
            raise Refused(400, f"a body is UTF-8 of at most {BODY_MAX_BYTES} bytes with its length") from error

    def handled(self, work):
        """Turns what is refused into an answer."""
        try:
            work()
        except Refused as error:
            headers = {"Retry-After": "1"} if error.status == 409 else {}
            self.reply(error.status, f"{error}\n", "text/plain", headers)

    def reply(self, status, text="", content_type=None, headers=None):
        """Sends an answer."""
        body = text.encode()
        self.send_response(status)
        if content_type:
            self.send_header("Content-Type", content_type)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_error(self, *_):
        """Says nothing about connections that clients leave open."""

    def log_request(self, code="-", size="-"):
        """Logs errors alone."""
        if int(code) >= 400:
            self.log_message('"%s" %s', self.requestline, int(code))


class Server(ThreadingHTTPServer):
    """As many clients may knock at once as a load generator has."""

    request_queue_size = 1024
    daemon_threads = True


def reached(url, within_s=10):
    """Connects to Janus, which may be starting."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return Janus(url)
        except Refused:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(description="WHIP and WHEP in front of Janus' videoroom")
    parser.add_argument("--janus", required=True, metavar="URL", help="Janus' HTTP API: http://10.0.0.1:8088/janus")
    parser.add_argument("--listen", required=True, metavar="HOST:PORT")
    arguments = parser.parse_args()
    host, _, port = arguments.listen.rpartition(":")
    janus = reached(arguments.janus)
    Handler.adapter = Adapter(janus)
    server = Server((host, int(port)), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://{host}:{server.server_port}", flush=True)
    try:
        janus.poll()
    except Refused as error:
        sys.exit(f"adapter: {error}")
    except KeyboardInterrupt:
        os._exit(0)


if __name__ == "__main__":
    main()
