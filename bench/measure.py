"""One measurement: a server, `onair load` against it, and the figures of both.

Figures are a flat table of numbers by name, units in the names; `None` where nothing was seen.
"""

import contextlib
import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import processes

Figures = dict[str, float | None]

READY = "onair is ready: "

# Who else wants more of the machine than this disturbs a run (docs/performance.md).
OTHERS_MAX_CORES = 0.3

# How often the server is looked at while it works.
LOOK_EVERY_S = 2.0

# Beside the time that the viewers and the window need, for those who join late and those who leave.
LOAD_EXTRA_S = 90.0

# The load generator waits so long between the last join and the window.
SETTLE_S = 2.0


class Failed(Exception):
    """A measurement that could not be made, and why."""


@dataclasses.dataclass(frozen=True)
class Load:
    """What `onair load` does; the fields are its options."""

    viewers: int
    seconds: float = 8
    rooms: int = 1
    bitrate_kbps: int = 2500
    pacing: str = "burst"
    churn_per_s: int = 0
    loss_percent: int = 0
    ramp_max_per_s: int = 100

    @property
    def ramp_per_s(self) -> int:
        """Few viewers take a second to join, too."""
        return min(self.ramp_max_per_s, max(10, self.viewers))

    @property
    def until_window_s(self) -> float:
        return self.viewers / self.ramp_per_s + SETTLE_S

    def arguments(self) -> list[str]:
        options = {
            "viewers": self.viewers,
            "seconds": self.seconds,
            "rooms": self.rooms,
            "bitrate": self.bitrate_kbps,
            "pacing": self.pacing,
            "churn": self.churn_per_s,
            "loss": self.loss_percent,
            "ramp": self.ramp_per_s,
        }
        return [word for option, value in options.items() for word in (f"--{option}", str(value))]


@dataclasses.dataclass(frozen=True)
class Target:
    """A server that runs. `api` is onair's own, for what it counts itself."""

    whip: str
    whep: str
    pid: int
    local: str | None = None
    api: str | None = None


@dataclasses.dataclass(frozen=True)
class Look:
    """The server at one moment of a run."""

    at_s: float
    rss_kib: int | None
    viewers: int
    udp: list[dict[str, int]]


@contextlib.contextmanager
def onair(program: pathlib.Path, settings: dict[str, Any], within: tuple[str, str] | None = None) -> Iterator[Target]:
    """Runs a server on a free port. `within` is a network namespace and the address there."""
    # The shortest HLS window: memory that grows while it fills up is not the viewers' doing.
    ours = {
        "http.listen": f"{within[1] if within else '127.0.0.1'}:0",
        "record.default": "false",
        "storage.url": "memory://",
        "hls.window_s": 12,
        "media.max_load_percent": 100,
    }
    command = ["ip", "netns", "exec", within[0]] if within else []
    command += [str(program), "serve"] + (["--insecure"] if within else [])
    for key, value in (ours | settings).items():
        command += ["--set", f"{key}={value}"]
    with tempfile.TemporaryFile("w+") as log:
        child = processes.start(command, stderr=log)
        try:
            assert child.stdout is not None
            line = child.stdout.readline()
            if not line.startswith(READY):
                log.seek(0)
                raise Failed(f"the server did not start: {log.read()[-500:].strip()}")
            url = line.removeprefix(READY).strip().rstrip("/")
            yield Target(f"{url}/whip/{{room}}", f"{url}/whep/{{room}}", child.pid, api=f"{url}/api")
        finally:
            processes.end(child)


def measure(program: pathlib.Path, load: Load, target: Target) -> tuple[Figures, list[Look]]:
    """Runs `onair load`, and looks at the server meanwhile."""
    looks: list[Look] = []
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(target, looks, done), daemon=True)
    watcher.start()
    try:
        report = _load(program, load, target)
    finally:
        done.set()
        watcher.join()
    return figures(report) | _sending(looks, load), looks


def is_disturbed(run: Figures) -> bool:
    """Tells whether others, or a load generator that could not keep up, had their part in a run."""
    return (run["own_dropped_datagrams"] or 0) > 0 or (run["others_cores"] or 0) > OTHERS_MAX_CORES


def figures(report: dict[str, Any]) -> Figures:
    """Takes from the report of `onair load` what the tables and the results are made of."""
    server, own, machine = report["server"] or {}, report["own"], report["machine"]
    packets, video, viewers = report["packets"], report["packets"]["video"], report["viewers"]
    others = machine["busy_cores"] - own["cores"] - server.get("cores", 0)
    return {
        "us_per_packet": server.get("cpu_us_per_packet"),
        "server_cores": server.get("cores"),
        "server_busiest_thread_cores": server.get("busiest_thread_cores"),
        "server_waiting_threads": server.get("waiting_threads"),
        "server_kernel_share": server.get("kernel_share"),
        "rss_start_kib": server.get("rss_kib_start"),
        "rss_kib": server.get("rss_kib_end"),
        "own_cores": own["cores"],
        "own_busiest_thread_cores": own["busiest_thread_cores"],
        "own_dropped_datagrams": own["dropped_datagrams"],
        "others_cores": round(max(0.0, others), 3),
        "joined": viewers["joined"],
        "failed": viewers["failed"],
        "ended": viewers["ended"],
        "packets_per_s_and_viewer": report["per_viewer_packets_per_s"]["p50"],
        "delivered": packets["delivered"],
        "expected": packets["expected"],
        "lost": packets["lost"],
        "lost_share": packets["lost"] / packets["expected"] if packets["expected"] else None,
        "repaired_share": packets["repaired"] / packets["expected"] if packets["expected"] else None,
        "video_lost": video["lost"],
        "video_lost_share": video["lost"] / video["expected"] if video["expected"] else None,
        "withheld_share": _withheld(report),
        "freezes": report["freezes"]["count"],
        "publishers_packets": report["publishers"]["packets"],
        **_quantiles("delay", report["delay_ms"]),
        **_quantiles("join", report["join_ms"]),
        **_quantiles("first_frame", report["first_frame_ms"]),
        **_quantiles("read_lag", own["read_lag_ms"]),
    }


def _withheld(report: dict[str, Any]) -> float | None:
    """Returns how much of what is published does not even count as lost at the median viewer."""
    publishers = report["publishers"]
    got: float = report["per_viewer_packets_per_s"]["p50"]
    if not publishers["packets"]:
        return None
    published: float = publishers["packets"] / report["window_s"] / report["config"]["publishers"]
    return max(0.0, 1 - got / published)


def _quantiles(name: str, distribution: dict[str, float] | None) -> Figures:
    return {f"{name}_{at}_ms": distribution[at] if distribution else None for at in ("p50", "p99")}


def _load(program: pathlib.Path, load: Load, target: Target) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, open(pathlib.Path(folder, "load.log"), "w+") as log:
        path = pathlib.Path(folder, "load.json")
        command = [str(program), "load", "--to", target.whip, "--from", target.whep, *load.arguments()]
        command += ["--server-pid", str(target.pid), "--json", str(path)]
        command += ["--local", target.local] if target.local else []
        child = processes.start(command, stderr=log, stdout=subprocess.DEVNULL)
        try:
            child.wait(load.until_window_s + load.seconds + LOAD_EXTRA_S)
        except subprocess.TimeoutExpired:
            raise Failed("onair load did not come to an end") from None
        finally:
            processes.end(child)
        if not path.exists():
            log.seek(0)
            raise Failed(f"onair load: {log.read()[-500:].strip()}")
        report: dict[str, Any] = json.loads(path.read_text())
        if why := report["viewers"]["first_failure"]:
            print(f"bench: a viewer failed or ended: {why}", file=sys.stderr)
        return report


def _watch(target: Target, looks: list[Look], done: threading.Event) -> None:
    begin = time.monotonic()
    while not done.wait(LOOK_EVERY_S):
        viewers, udp = _room(target.api) if target.api else (0, [])
        looks.append(Look(time.monotonic() - begin, processes.resident_kib(target.pid), viewers, udp))


def _room(api: str) -> tuple[int, list[dict[str, int]]]:
    """Returns how many watch the first room, and what each worker's socket counts."""
    try:
        with urllib.request.urlopen(f"{api}/rooms/load-0", timeout=5) as answer:
            room = json.load(answer)
        return room["viewers"]["whep"], room["actors"]["udp"]
    except (OSError, ValueError, KeyError):
        # There is no room before the publisher comes, nor after it has left.
        return 0, []


def _sending(looks: list[Look], load: Load) -> Figures:
    """Counts calls between two looks of the window: the last while everybody was there, and one well before it."""
    # Churn and rooms of unequal size leave some out.
    full = [look for look in looks if look.udp and look.viewers >= 0.8 * load.viewers / load.rooms]
    full = [look for look in full if look.at_s >= full[-1].at_s - load.seconds * 0.75]
    if len(full) < 2:
        return {"packets_per_call": None, "strays": None, "blocked": None}
    calls, sent, strays, blocked = (
        _sum(full[-1], key) - _sum(full[0], key) for key in ("send_calls", "sent", "strays", "blocked")
    )
    return {"packets_per_call": sent / calls if calls else None, "strays": strays, "blocked": blocked}


def _sum(look: Look, key: str) -> int:
    return sum(socket[key] for socket in look.udp)
