"""What the HLS benchmarks need of a client, and what the operating system says of a server.

Requests are written by hand: thousands of them wait at a time, and nothing here must cost more than the server.
"""

import contextlib
import datetime
import gzip
import json
import os
import pathlib
import re
import resource
import socket
import struct
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator

import processes
from measure import Failed, Target

# Where `tcpi_last_data_recv` stands in `struct tcp_info` (linux/tcp.h).
_LAST_DATA_RECV_AT = 52

# Sockets beside those that wait.
_OTHER_FILES = 500

_BEGIN_TIMEOUT_S = 30


def allow_files(count: int) -> None:
    """Lets this process, and what it starts, open so many files."""
    wanted = count + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    except (ValueError, OSError):
        raise Failed(f"{wanted} open files are needed and {hard} are allowed: ulimit -n") from None


@contextlib.contextmanager
def broadcasts(program: pathlib.Path, target: Target, rooms: int = 1) -> Iterator[str]:
    """Publishes to so many rooms, and returns the directory of the first one's video, as a URL."""
    command = [str(program), "load", "--to", target.whip, "--from", target.whep, "--viewers", "1"]
    command += ["--rooms", str(rooms), "--seconds", "3600"]
    with tempfile.TemporaryFile("w+") as log:
        child = processes.start(command, stderr=log, stdout=subprocess.DEVNULL)
        try:
            yield _video(target, f"load-{rooms - 1}")
        finally:
            processes.end(child)


def _video(target: Target, last_room: str) -> str:
    """Waits for the last room's HLS, and returns where the first room's is."""
    base = (target.api or "").removesuffix("/api")
    end = time.monotonic() + _BEGIN_TIMEOUT_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            get(f"{base}/hls/{last_room}/index.m3u8")
            lines = get(f"{base}/hls/load-0/index.m3u8").decode().splitlines()
            video = next(line for line in lines if line.endswith("/video/index.m3u8"))
            return f"{base}/hls/load-0/{video.removesuffix('index.m3u8')}"
        time.sleep(0.2)
    raise Failed("the broadcast has no HLS")


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        content: bytes = answer.read()
        return content


def hls_waiting(target: Target) -> int:
    """Returns how many requests wait in the first room."""
    room = json.loads(get(f"{target.api}/rooms/load-0"))
    return int(room["actors"]["packager"]["hls_waiting"])


def hint(playlist: str) -> tuple[int, int]:
    """Returns the number and the part that a playlist hints at."""
    found = re.search(r'TYPE=PART,URI="(\d+)\.(\d+)\.m4s"', playlist)
    if not found:
        raise Failed(f"no hint: {playlist}")
    return int(found[1]), int(found[2])


def newest_part_end_s(playlist: str) -> float:
    """Returns the wall clock of the end of the last part that is listed, in seconds since 1970."""
    at = 0.0
    for line in playlist.splitlines():
        if line.startswith("#EXT-X-PROGRAM-DATE-TIME:"):
            at = datetime.datetime.fromisoformat(line.partition(":")[2]).timestamp()
        elif line.startswith("#EXT-X-PART:"):
            at += float(line.partition("DURATION=")[2].partition(",")[0])
    return at


class Connection:
    """One kept-alive connection of HTTP/1.1, one request at a time."""

    def __init__(self, url: str) -> None:
        address, _, self.directory = url.removeprefix("http://").partition("/")
        host, _, port = address.partition(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(30)

    def ask(self, name: str) -> None:
        request = f"GET /{self.directory}{name} HTTP/1.1\r\nHost: onair\r\nAccept-Encoding: gzip\r\n\r\n"
        self.socket.sendall(request.encode())

    def answer(self) -> bytes:
        """Reads the answer and returns its body, unpacked; anything but 200 is a failure."""
        read = b""
        while b"\r\n\r\n" not in read:
            read += self._receive()
        head, _, body = read.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise Failed(head.decode())
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
        while len(body) < length:
            body += self._receive()
        return gzip.decompress(body) if b"content-encoding: gzip" in head.lower() else body

    def _receive(self) -> bytes:
        received = self.socket.recv(65536)
        if not received:
            raise Failed("the server closed a connection")
        return received

    def silent_for_ms(self) -> int:
        """Returns how long ago something arrived: the kernel knows, whenever it is asked. Exact to one of its ticks."""
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECV_AT + 4)
        return int(struct.unpack_from("=I", info, _LAST_DATA_RECV_AT)[0])

    def close(self) -> None:
        self.socket.close()


def cpu_s(pid: int) -> float:
    """Returns the CPU time that a process has used, of all its threads and in the kernel."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy_cpu_s() -> float:
    """Returns the CPU time that the machine has used."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, pathlib.Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def wrk(url: str, connections: int, seconds: float, headers: list[str]) -> tuple[int, float]:
    """Has Debian's wrk ask for one thing over and over; returns how many answers it got, and its own CPU time."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s"]
    command += [word for header in headers for word in ("-H", header)] + [url]
    before = os.times()
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    after = os.times()
    found = re.search(r"(\d+) requests in", run.stdout)
    if run.returncode or not found or "Non-2xx" in run.stdout:
        raise Failed(f"wrk: {run.stdout}{run.stderr}")
    own_s = after.children_user + after.children_system - before.children_user - before.children_system
    return int(found[1]), own_s
