"""What is measured: each scenario is a function that makes rows of measurements and says what follows from them."""

import dataclasses
import pathlib
import sys
from collections.abc import Callable
from typing import Any

from measure import Figures, Load, Look, is_disturbed, measure, onair
from tables import Result, Row

# Where the server, or its viewers, are at an end.
BUSIEST_THREAD_MAX_CORES = 0.95
DELAY_P99_MAX_MS = 200
WITHHELD_MAX_SHARE = 0.02

# Thousands join: at the pace of the other scenarios that would be most of the time.
SATURATION_RAMP_PER_S = 150


@dataclasses.dataclass
class Bench:
    """The program under test and how thoroughly it is measured."""

    program: pathlib.Path
    seconds: float = 8
    rounds: int = 1
    repeats: int = 2
    is_long: bool = False

    def load(self, viewers: int, **options: Any) -> Load:
        return Load(viewers, **({"seconds": self.seconds} | options))

    def row(self, case: dict[str, str | int], load: Load, settings: dict[str, Any]) -> Row:
        """Measures onair, started anew for each run, as many rounds as are wanted."""
        row = Row(case, {"load": config_of(load), "server": settings})
        for _ in range(self.rounds):
            self.add_run(row, lambda: self.run_once(load, settings))
        return row

    def run_once(self, load: Load, settings: dict[str, Any]) -> tuple[Figures, list[Look]]:
        """Measures a fresh onair."""
        with onair(self.program, settings) as target:
            return measure(self.program, load, target)

    def add_run(self, row: Row, run: Callable[[], tuple[Figures, list[Look]]]) -> list[Look]:
        """Adds a quiet run, or the quietest of several, to a row."""
        attempts: list[tuple[Figures, list[Look]]] = []
        while not attempts or (is_disturbed(attempts[-1][0]) and len(attempts) <= self.repeats):
            attempts.append(run())
            _tell(row, attempts[-1][0])
        kept = attempts[-1]
        if is_disturbed(kept[0]):
            row.is_disturbed = True
            kept = min(attempts, key=lambda one: (one[0]["own_dropped_datagrams"], one[0]["others_cores"]))
        row.runs.append(kept[0])
        row.set_aside += [figures for figures, _ in attempts if figures is not kept[0]]
        return kept[1]


def config_of(load: Load) -> dict[str, Any]:
    """Returns the options of a load for the results."""
    return dataclasses.asdict(load) | {"ramp_per_s": load.ramp_per_s}


def _tell(row: Row, figures: Figures) -> None:
    case = ", ".join(f"{name} {value}" for name, value in row.case.items())
    mark = " (disturbed)" if is_disturbed(figures) else ""
    cost = figures["us_per_packet"]
    cost_text = "no packets" if cost is None else f"{cost:.2f} µs/packet"
    print(f"bench: {case}: {cost_text}, others {figures['others_cores']:.2f} cores{mark}", file=sys.stderr)


ONE_WORKER = {"media.workers": 1}


def viewers(bench: Bench) -> Result:
    """What a viewer costs, from few to many: one worker, one room, 720p at 2.5 Mbit/s."""
    rows = [bench.row({"viewers": count}, bench.load(count), ONE_WORKER) for count in (10, 100, 200, 500, 1000)]
    by_viewers = {row.case["viewers"]: row.median("rss_kib") or 0 for row in rows}
    kib = (by_viewers[1000] - by_viewers[100]) / 900
    columns = ["µs", "cores", "call", "kernel", "delay", "join", "frame", "rss", "lost", "own", "others"]
    return Result(rows, columns, [f"A viewer costs {kib:.0f} KiB (from 100 to 1,000)."], {"kib_per_viewer": kib})


def bitrates(bench: Bench) -> Result:
    """Small and large pictures: many viewers at 600 kbit/s, fewer at 8 Mbit/s."""
    rows = [
        bench.row({"kbit/s": rate, "viewers": count}, bench.load(count, bitrate_kbps=rate), ONE_WORKER)
        for rate, count in ((600, 1000), (8000, 200))
    ]
    return Result(rows, ["µs", "cores", "call", "rate", "delay", "lost", "own", "others"])


def workers(bench: Bench) -> Result:
    """One worker and two, 600 viewers of one room."""
    rows = [bench.row({"workers": count}, bench.load(600), {"media.workers": count}) for count in (1, 2)]
    columns = ["µs", "cores", "busiest", "waiting", "call", "strays", "delay", "lost", "own", "others"]
    return Result(rows, columns, ["The load generator shares the machine's cores with the workers."])


def rooms(bench: Bench) -> Result:
    """300 viewers in one room, in ten, in a hundred."""
    rows = [bench.row({"rooms": count}, bench.load(300, rooms=count), ONE_WORKER) for count in (1, 10, 100)]
    return Result(rows, ["µs", "cores", "call", "delay", "frame", "rss", "lost", "own", "others"])


def saturation(bench: Bench) -> Result:
    """How many viewers one worker takes: more and more, until it has no core left, or they see it."""
    rows: list[Row] = []
    limit = None
    for count in range(1000, 3501, 500):
        load = bench.load(count, ramp_max_per_s=SATURATION_RAMP_PER_S)
        rows.append(bench.row({"viewers": count}, load, ONE_WORKER))
        if limit := _limit(rows[-1]):
            break
    good = [row for row in rows if not _limit(row)]
    columns = ["µs", "busiest", "waiting", "call", "delay", "lost", "own", "others"]
    if not good:
        return Result(rows, columns, [f"Not even the first step was free of trouble: {limit}."], {"limit": limit})
    per_core = int(good[-1].case["viewers"]) / (good[-1].median("server_busiest_thread_cores") or 1)
    doubt = ", in a disturbed run" if rows[-1].is_disturbed else ""
    half, most = (min(good, key=lambda row: abs(_busiest(row) - share)) for share in (0.5, 0.9))
    notes = [
        f"{per_core:,.0f} viewers per core, by the busiest thread at {good[-1].case['viewers']:,} viewers. "
        + (f"The next step is too much: {limit}{doubt}." if limit else "No limit was met."),
        f"Delay p50/p99 at {_busiest(half):.0%} of a core {half.pair('delay')} ms, "
        f"at {_busiest(most):.0%} {most.pair('delay')} ms.",
    ]
    return Result(rows, columns, notes, {"viewers_per_core": per_core, "limit": limit})


def _busiest(row: Row) -> float:
    return row.median("server_busiest_thread_cores") or 0


def _limit(row: Row) -> str | None:
    """Says what is too much, if anything is."""
    if _busiest(row) > BUSIEST_THREAD_MAX_CORES:
        return f"the busiest thread has {_busiest(row):.2f} cores"
    if (row.median("delay_p99_ms") or 0) > DELAY_P99_MAX_MS:
        return f"p99 of the delay is {row.text('delay_p99_ms', 0)} ms"
    if row.median("failed") or row.median("ended"):
        return f"{row.text('failed', 0)} viewers could not join and {row.text('ended', 0)} were lost"
    if (row.median("withheld_share") or 0) > WITHHELD_MAX_SHARE:
        return f"viewers do not get {row.text('withheld_share', 0, 100)} % of what is published"
    if row.median("lost"):
        dropped = row.text("own_dropped_datagrams", 0)
        return f"{row.text('lost', 0)} packets lost, {dropped} dropped by the load generator's sockets"
    return None


def pacing(bench: Bench) -> Result:
    """How long a busy worker waits for the rest of a picture, and how a publisher sends it: 500 viewers."""
    rows = [
        bench.row(
            {"publisher": how, "media.batch_us": wait},
            bench.load(500, pacing=how),
            ONE_WORKER | {"media.batch_us": wait},
        )
        for how in ("burst", "spread")
        for wait in (0, 2000, 5000)
    ]
    return Result(rows, ["µs", "cores", "call", "delay", "lost", "own", "others"])


def churn(bench: Bench) -> Result:
    """What those who come and go leave behind: 200 viewers, 50 a second replaced."""
    load = bench.load(200, churn_per_s=50, seconds=400 if bench.is_long else 60)
    row = Row({"seconds": int(load.seconds)}, {"load": config_of(load), "server": ONE_WORKER})
    looks = bench.add_run(row, lambda: bench.run_once(load, ONE_WORKER))
    row.extra["rss_course_kib"] = _rss_course(row.runs[0], looks, load)
    return Result([row], ["joins", "failed", "ended", "µs", "delay", "join", "frame", "rss course", "others"])


def _rss_course(run: Figures, looks: list[Look], load: Load) -> list[float]:
    """Returns the server's memory at the window's start, every ten seconds, and at its end."""
    within = [look for look in looks if look.at_s >= load.until_window_s and look.rss_kib]
    course = [run["rss_start_kib"] or 0]
    for at_s in range(10, int(load.seconds), 10):
        later = [look.rss_kib for look in within if look.at_s >= load.until_window_s + at_s]
        course += [later[0] or 0] if later else []
    return course + [run["rss_kib"] or 0]


def loss(bench: Bench) -> Result:
    """What repairs cost: 200 viewers that lose packets and ask for them again."""
    rows = [
        bench.row({"loss, %": percent}, bench.load(200, loss_percent=percent), ONE_WORKER) for percent in (0, 2, 10)
    ]
    return Result(rows, ["µs", "cores", "call", "repaired", "video lost", "delay", "own", "others"])
