"""Results as files and as tables: bench/results/NAME.json, and the blocks of docs/performance.md."""

import dataclasses
import datetime
import json
import pathlib
import statistics
from collections.abc import Callable
from typing import Any

from measure import Figures

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "bench" / "results"
DOCUMENT = REPOSITORY / "docs" / "performance.md"

END = "<!-- /bench -->"


@dataclasses.dataclass
class Row:
    """One line of a table: what was measured, and each run of it. `is_disturbed`: a run could not be had quiet."""

    case: dict[str, str | int]
    config: dict[str, Any]
    runs: list[Figures] = dataclasses.field(default_factory=list)
    set_aside: list[Figures] = dataclasses.field(default_factory=list)
    is_disturbed: bool = False
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)

    def median(self, name: str) -> float | None:
        """Returns the median of a figure over the runs."""
        seen = [value for run in self.runs if (value := run.get(name)) is not None]
        return statistics.median(seen) if seen else None

    def text(self, name: str, digits: int, scale: float = 1) -> str:
        value = self.median(name)
        return "" if value is None else f"{value * scale:,.{digits}f}"

    def pair(self, name: str) -> str:
        """Returns the median and the last percentile of a time in ms."""
        both = [self.median(f"{name}_{at}_ms") for at in ("p50", "p99")]
        return "/".join("–" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}" for value in both)


@dataclasses.dataclass
class Result:
    """What a scenario found: its rows, the columns to show of them, and what follows from all of them."""

    rows: list[Row]
    columns: list[str]
    notes: list[str] = dataclasses.field(default_factory=list)
    summary: dict[str, Any] = dataclasses.field(default_factory=dict)


# Each column: its heading, and the cell of a row.
COLUMNS: dict[str, tuple[str, Callable[[Row], str]]] = {
    "µs": ("µs/packet", lambda row: row.text("us_per_packet", 2)),
    "cores": ("server, cores", lambda row: row.text("server_cores", 2)),
    "busiest": ("busiest thread, cores", lambda row: row.text("server_busiest_thread_cores", 2)),
    "waiting": ("waiting, threads", lambda row: row.text("server_waiting_threads", 2)),
    "kernel": ("kernel's share", lambda row: row.text("server_kernel_share", 2)),
    "call": ("packets/call", lambda row: row.text("packets_per_call", 1)),
    "delay": ("delay, p50/p99 ms", lambda row: row.pair("delay")),
    "join": ("join, p50/p99 ms", lambda row: row.pair("join")),
    "frame": ("first frame, p50/p99 ms", lambda row: row.pair("first_frame")),
    "rss": ("server, MiB", lambda row: row.text("rss_kib", 1, 1 / 1024)),
    "lost": ("lost", lambda row: row.text("lost", 0)),
    "rate": ("packets/s and viewer", lambda row: row.text("packets_per_s_and_viewer", 0)),
    "strays": ("strays", lambda row: row.text("strays", 0)),
    "blocked": ("blocked", lambda row: row.text("blocked", 0)),
    "own": ("load, cores", lambda row: row.text("own_cores", 2)),
    "others": ("others, cores", lambda row: row.text("others_cores", 2) + ("*" if row.is_disturbed else "")),
    "repaired": ("repaired, %", lambda row: row.text("repaired_share", 2, 100)),
    "video lost": ("video lost, %", lambda row: row.text("video_lost_share", 3, 100)),
    "joins": ("joins", lambda row: row.text("joined", 0)),
    "failed": ("failed", lambda row: row.text("failed", 0)),
    "ended": ("ended", lambda row: row.text("ended", 0)),
    "waiters/core": ("waiters/core and s", lambda row: row.text("waiters_per_core_s", 0)),
    "answer µs": ("µs/waiter, from the request to the answer", lambda row: row.text("answer_us", 1)),
    "wake µs": ("of it from the part on", lambda row: row.text("wake_us", 1)),
    "last answer": ("answers after the first one: half, 99 %, the last, ms", lambda row: _late(row)),
    "waiting at": ("waiting at the part", lambda row: row.text("waiting", 0)),
    "bytes": ("bytes", lambda row: row.text("bytes", 0)),
    "answers/core": ("answers/core and s", lambda row: row.text("answers_per_core_s", 0)),
    "GB/core": ("GB/core and s", lambda row: row.text("gb_per_core_s", 2)),
    "age": ("part, p50/p95 ms", lambda row: _p95(row, "age")),
    "playlist age": ("playlist, p50/p95 ms", lambda row: _p95(row, "playlist_age")),
    "hold back": ("PART-HOLD-BACK, ms", lambda row: row.text("hold_back_ms", 0)),
    "rss course": ("server, MiB: at the start, then every 10 s", lambda row: _course(row)),
}


def markdown(result: Result, machine: dict[str, Any], today: datetime.date) -> str:
    """Returns the table of a scenario, and below it what it says and where it was measured."""
    names = list(result.rows[0].case)
    headings = names + [COLUMNS[column][0] for column in result.columns]
    aligned = ["---:" if isinstance(result.rows[0].case[name], int) else "---" for name in names]
    lines = [_line(headings), _line(aligned + ["---:"] * len(result.columns))]
    for row in result.rows:
        lines.append(_line([*map(str, row.case.values()), *(COLUMNS[column][1](row) for column in result.columns)]))
    notes = list(result.notes)
    if any(row.is_disturbed for row in result.rows):
        notes.append("\\* disturbed: others had more than 0.3 cores, or the load generator did not keep up.")
    runs = max(len(row.runs) for row in result.rows)
    measured = f"{today}, {machine['cores']} × {machine['cpu']}, Linux {machine['kernel']}"
    notes.append(f"{measured}; {f'medians of {runs} runs' if runs > 1 else 'one run each'}.")
    return "\n".join(lines) + "\n\n" + "\n\n".join(notes)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _late(row: Row) -> str:
    """Shows when half of the answers, nearly all, and the last one were there."""
    return "/".join(row.text(f"late_{at}_ms", 0) for at in ("p50", "p99", "max"))


def _p95(row: Row, name: str) -> str:
    return "/".join(row.text(f"{name}_{at}_ms", 0) for at in ("p50", "p95"))


def _course(row: Row) -> str:
    """Shows at most about ten of the readings."""
    course = row.extra["rss_course_kib"]
    shown = course[:: -(-len(course) // 10)]
    return ", ".join(f"{kib / 1024:.1f}" for kib in shown)


def save(name: str, result: Result, machine: dict[str, Any], now: datetime.datetime) -> None:
    """Writes bench/results/NAME.json."""
    others = [figures["others_cores"] or 0 for row in result.rows for figures in row.runs]
    content = {
        "scenario": name,
        "date": now.isoformat(timespec="seconds"),
        "machine": machine | {"others_cores_median": round(statistics.median(others), 3)},
        "summary": result.summary,
        "rows": [_json(row) for row in result.rows],
    }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(_rounded(content), indent=2, ensure_ascii=False)
    (RESULTS / f"{name}.json").write_text(text + "\n")


def _json(row: Row) -> dict[str, Any]:
    return {
        "case": row.case,
        "config": row.config,
        "medians": {name: row.median(name) for name in row.runs[0]},
        "runs": row.runs,
        "set_aside": row.set_aside,
        "is_disturbed": row.is_disturbed,
        **row.extra,
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value


def put_into_document(name: str, block: str) -> bool:
    """Replaces the block of a scenario in docs/performance.md; tells whether there is one."""
    text = DOCUMENT.read_text()
    begin = f"<!-- bench:{name} -->"
    before, found, after = text.partition(begin)
    _, ends, rest = after.partition(END)
    if not found or not ends:
        return False
    DOCUMENT.write_text(f"{before}{begin}\n{block}\n{END}{rest}")
    return True
