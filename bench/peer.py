"""The scenario `peer`: another server and onair at the same work, one after the other.

Janus comes from janus/run.sh, with onair behind the same pair of network interfaces. Any other server that speaks WHIP
and WHEP is given by its URLs; onair is on the loopback interface then.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator

import processes
from measure import Figures, Load, Look, Target, measure, onair
from scenarios import Bench, config_of
from tables import Result, Row

VIEWERS = (50, 100, 200)
ROUNDS = 3

# Three rounds of two servers: shorter than elsewhere. The adapter before Janus takes 6 to 8 ms for each who joins.
WINDOW_S = 5
LOST_MAX_SHARE = 0.01
RAMP_PER_S = 50

# run.sh may have to install Janus first.
JANUS = pathlib.Path(__file__).resolve().parent / "janus" / "run.sh"

Run = Callable[[Load], tuple[Figures, list[Look]]]


class Unavailable(Exception):
    """Why there is nothing to compare with."""


@dataclasses.dataclass(frozen=True)
class Given:
    """A server that somebody else started."""

    whip: str
    whep: str
    pid: int
    local: str | None


def peer(bench: Bench, given: Given | None) -> Result:
    """Another server and onair, in turns: Janus, or whichever is given by its URLs; 50, 100 and 200 viewers.

    Raises `Unavailable` where there is no other server.
    """
    name = "peer" if given else "Janus"
    rows = {(who, count): _row(who, count, bench) for count in VIEWERS for who in (name, "onair")}
    for _ in range(ROUNDS):
        with _given(bench, given) if given else _janus(bench) as (theirs, ours):
            for (who, _), row in rows.items():
                load = _load(int(row.case["viewers"]), bench)
                run = ours if who == "onair" else theirs
                bench.add_run(row, lambda run=run, load=load: run(load))  # type: ignore[misc]
    ratios = {count: _ratio(rows[name, count], rows["onair", count]) for count in VIEWERS}
    said = ", ".join(
        f"{ratio:.1f} with {count} viewers{_caveat(name, rows[name, count])}"
        for count, ratio in ratios.items()
        if ratio
    )
    where = "behind one veth pair" if given is None else "where they are"
    window = f"windows of {min(WINDOW_S, bench.seconds):g} s"
    notes = [f"µs/packet of {name} by those of onair, median of the rounds: {said}. Both {where}, {window}."]
    columns = ["µs", "cores", "delay", "join", "frame", "rate", "lost", "own", "others"]
    return Result(list(rows.values()), columns, notes, {"us_per_packet_ratio": ratios})


def _load(viewers: int, bench: Bench) -> Load:
    return Load(viewers, seconds=min(WINDOW_S, bench.seconds), ramp_max_per_s=RAMP_PER_S)


def _row(who: str, viewers: int, bench: Bench) -> Row:
    return Row({"viewers": viewers, "server": who}, {"load": config_of(_load(viewers, bench))})


def _ratio(theirs: Row, ours: Row) -> float | None:
    pairs = [(a["us_per_packet"], b["us_per_packet"]) for a, b in zip(theirs.runs, ours.runs, strict=True)]
    seen = [a / b for a, b in pairs if a and b]
    return statistics.median(seen) if seen else None


def _caveat(who: str, row: Row) -> str:
    """A server that falls over has no cost to compare with."""
    share = row.median("lost_share") or 0
    return f" (where {who} lost {share:.0%})" if share > LOST_MAX_SHARE else ""


@contextlib.contextmanager
def _given(bench: Bench, given: Given) -> Iterator[tuple[Run, Run]]:
    target = Target(given.whip, given.whep, given.pid, given.local)
    yield (lambda load: measure(bench.program, load, target)), (lambda load: bench.run_once(load, {}))


@contextlib.contextmanager
def _janus(bench: Bench) -> Iterator[tuple[Run, Run]]:
    """Runs Janus, started anew each round: who vanishes stays with it."""
    if os.geteuid() != 0:
        raise Unavailable("network namespaces want root")
    if not shutil.which("janus") and not shutil.which("apt-get"):
        raise Unavailable("there is no Janus, and no apt-get to install it")
    with tempfile.TemporaryFile("w+") as log:
        child = processes.start(["bash", str(JANUS)], stderr=log)
        try:
            assert child.stdout is not None
            ready, description = child.stdout.readline(), child.stdout.readline()
            if not ready.startswith("ready: "):
                log.seek(0)
                raise Unavailable(f"Janus could not be started: {log.read()[-300:].strip()}")
            janus = json.loads(description)
            target = Target(janus["whip"], janus["whep"], janus["pid"], janus["local"])

            def ours(load: Load) -> tuple[Figures, list[Look]]:
                with onair(bench.program, {}, (janus["netns"], janus["host"])) as server:
                    return measure(bench.program, load, dataclasses.replace(server, local=janus["local"]))

            yield (lambda load: measure(bench.program, load, target)), ours
        finally:
            processes.end(child)
