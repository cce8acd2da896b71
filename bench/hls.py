"""What HLS costs: players that wait for the next part, playlists, segments, memory of rooms, and how old a part is."""

import contextlib
import select
import socket
import statistics
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import hls_client
import processes
from hls_client import Connection, broadcasts, busy_cpu_s, cpu_s
from measure import OTHERS_MAX_CORES, Failed, Figures, Target, onair
from scenarios import Bench
from tables import Result, Row

WAITERS = 10_000
ROUNDS = 12

# How long after the first answer a round is looked at: until then nobody else wants the cores.
LOOK_AFTER_S = 0.35

# Windows of segments and of what they leave behind are full after that.
ROOMS_AFTER_S = 70


def rated(row: Row) -> Row:
    """Says of a row whether others had their part in it."""
    row.is_disturbed = (row.median("others_cores") or 0) > OTHERS_MAX_CORES
    return row


@contextlib.contextmanager
def live(bench: Bench, settings: dict[str, Any], rooms: int = 1) -> Iterator[tuple[Target, str]]:
    """Runs a server with broadcasts of 720p at 2.5 Mbit/s, and returns it and the directory of the first one's video."""
    with onair(bench.program, {"media.workers": 1} | settings) as target, broadcasts(bench.program, target, rooms) as url:
        yield target, url


def hls_waiters(bench: Bench) -> Result:
    """Blocked reloads: so many players wait for one part, and when the last of them has it."""
    hls_client.allow_files(WAITERS)
    rows = []
    for count in (1_000, WAITERS):
        row = Row({"waiters": count}, {"rounds": ROUNDS})
        with live(bench, {}) as (target, url):
            row.runs = _rounds(target, url, count)
        rows.append(rated(row))
    columns = ["waiters/core", "answer µs", "wake µs", "last answer", "waiting at", "own", "others"]
    return Result(rows, columns, [f"Medians of {ROUNDS} parts each."])


def _rounds(target: Target, url: str, count: int) -> list[Figures]:
    idle_cores = _cores(target, lambda: time.sleep(3))
    asking = Connection(url)
    players = [Connection(url) for _ in range(count)]
    try:
        rounds = [_round(target, asking, players, idle_cores) for _ in range(ROUNDS + 1)]
    finally:
        for player in players:
            player.close()
    # The first one finds everything cold.
    return rounds[1:]


def _round(target: Target, asking: Connection, players: list[Connection], idle_cores: float) -> Figures:
    """Has all players wait for the same part, which is a later one: the next might come while they still ask."""
    asking.ask("index.m3u8")
    msn, part = hls_client.hint(asking.answer().decode())
    # Begins right behind a part, for as much time as there is.
    asking.ask(f"index.m3u8?_HLS_msn={msn}&_HLS_part={part}")
    msn, part = hls_client.hint(asking.answer().decode())
    begin, cpu_begin, busy, own = time.monotonic(), cpu_s(target.pid), busy_cpu_s(), time.process_time()
    for player in players:
        player.ask(f"index.m3u8?_HLS_msn={msn}&_HLS_part={part + 2}")
    waiting = _waiting(target, players)
    before_wake, cpu_before_wake = time.monotonic(), cpu_s(target.pid)
    # Waits for its answer and leaves it there.
    players[0].socket.recv(1, socket.MSG_PEEK)
    time.sleep(LOOK_AFTER_S)
    end, cpu_end = time.monotonic(), cpu_s(target.pid)
    wall_s, own_s = end - begin, time.process_time() - own
    others_s = busy_cpu_s() - busy - (cpu_end - cpu_begin) - own_s
    arrivals = [time.monotonic() * 1000 - player.silent_for_ms() for player in players]
    for player in players:
        player.answer()
    first_ms = min(arrivals)
    late = sorted(arrival - first_ms for arrival in arrivals)
    # Ticks of 10 ms are coarse for one round; the medians of all are not.
    cpu = cpu_end - cpu_begin - idle_cores * wall_s
    wake = cpu_end - cpu_before_wake - idle_cores * (end - before_wake)
    return {
        "waiting": waiting,
        "answer_us": cpu / len(players) * 1e6,
        "wake_us": wake / len(players) * 1e6,
        "waiters_per_core_s": len(players) / cpu if cpu > 0 else None,
        "late_p50_ms": late[len(late) // 2],
        "late_p99_ms": late[len(late) * 99 // 100],
        "late_max_ms": late[-1],
        "own_cores": own_s / wall_s,
        "others_cores": max(0.0, others_s / wall_s),
    }


def _waiting(target: Target, players: list[Connection]) -> int:
    """Returns how many wait, once they all do or the part is there."""
    waiting, first = 0, select.poll()
    first.register(players[0].socket, select.POLLIN)
    while waiting < len(players) and not first.poll(20):
        waiting = hls_client.hls_waiting(target)
    return waiting


def _cores(target: Target, work: Callable[[], None]) -> float:
    begin, cpu = time.monotonic(), cpu_s(target.pid)
    work()
    return (cpu_s(target.pid) - cpu) / (time.monotonic() - begin)


def hls_answers(bench: Bench) -> Result:
    """Playlists and segments, as many as a client on the other core can take."""
    rows = []
    with live(bench, {"hls.window_s": 60}) as (target, url):
        # The playlist is as long as it gets.
        time.sleep(60)
        idle_cores = _cores(target, lambda: time.sleep(3))
        playlist = hls_client.get(f"{url}index.m3u8").decode()
        segment = [line for line in playlist.splitlines() if line.endswith(".m4s") and line[0] != "#"][-1]
        part = [line for line in playlist.splitlines() if line.startswith("#EXT-X-PART:")][-1].split('"')[1]
        for what, name, coding in (
            ("playlist", "index.m3u8", "identity"),
            ("playlist, gzip", "index.m3u8", "gzip"),
            ("playlist, br", "index.m3u8", "br"),
            ("part", part, "identity"),
            ("segment", segment, "identity"),
        ):
            row = Row({"what": what}, {})
            bytes_each = _bytes(url, name, coding)
            for _ in range(bench.rounds):
                row.runs.append(_answers(bench, target, f"{url}{name}", coding, bytes_each, idle_cores))
            rows.append(rated(row))
    return Result(rows, ["bytes", "answers/core", "GB/core", "cores", "own", "others"])


def _bytes(url: str, name: str, coding: str) -> int:
    request = urllib.request.Request(f"{url}{name}", headers={"Accept-Encoding": coding})
    with urllib.request.urlopen(request) as answer:
        return len(answer.read())


def _answers(bench: Bench, target: Target, url: str, coding: str, bytes_each: int, idle_cores: float) -> Figures:
    begin, cpu, busy = time.monotonic(), cpu_s(target.pid), busy_cpu_s()
    count, own_s = hls_client.wrk(url, 64, bench.seconds, [f"Accept-Encoding: {coding}"])
    wall_s, used = time.monotonic() - begin, cpu_s(target.pid) - cpu
    server_s = used - idle_cores * wall_s
    return {
        "bytes": bytes_each,
        "answers": count,
        "answers_per_core_s": count / server_s,
        "gb_per_core_s": count * bytes_each / server_s / 1e9,
        "server_cores": used / wall_s,
        "own_cores": own_s / wall_s,
        "others_cores": max(0.0, (busy_cpu_s() - busy - used - own_s) / wall_s),
    }


def hls_age(bench: Bench) -> Result:
    """How old the newest part is when a player has it: since its last picture, by EXT-X-PROGRAM-DATE-TIME."""
    rows = []
    for part_ms in (500, 200):
        row = Row({"hls.part_ms": part_ms}, {"seconds": 20})
        with live(bench, {"hls.part_ms": part_ms}) as (target, url):
            row.runs.append(_ages(target, url, 20))
        rows.append(rated(row))
    return Result(rows, ["age", "playlist age", "hold back", "others"])


def _ages(target: Target, url: str, seconds: float) -> Figures:
    playlists, media = Connection(url), Connection(url)
    begin, cpu, busy, own = time.monotonic(), cpu_s(target.pid), busy_cpu_s(), time.process_time()
    playlists.ask("index.m3u8")
    text = playlists.answer().decode()
    of_playlist, of_part = [], []
    while time.monotonic() < begin + seconds:
        msn, part = hls_client.hint(text)
        # As players do: the part that is hinted at, and the playlist that has it.
        media.ask(f"{msn:06}.{part}.m4s")
        playlists.ask(f"index.m3u8?_HLS_msn={msn}&_HLS_part={part}")
        text = playlists.answer().decode()
        arrived = time.time()
        with contextlib.suppress(Failed):
            # The last hint of a segment comes to nothing.
            media.answer()
            of_part.append((time.time() - hls_client.newest_part_end_s(text)) * 1000)
        of_playlist.append((arrived - hls_client.newest_part_end_s(text)) * 1000)
    wall_s = time.monotonic() - begin
    others_s = busy_cpu_s() - busy - (cpu_s(target.pid) - cpu) - (time.process_time() - own)
    hold_back = float(text.partition("PART-HOLD-BACK=")[2].partition(",")[0]) * 1000
    return {
        "age_p50_ms": statistics.median(of_part),
        "age_p95_ms": sorted(of_part)[len(of_part) * 95 // 100],
        "playlist_age_p50_ms": statistics.median(of_playlist),
        "playlist_age_p95_ms": sorted(of_playlist)[len(of_playlist) * 95 // 100],
        "hold_back_ms": hold_back,
        "others_cores": max(0.0, others_s / wall_s),
    }


def hls_rooms(bench: Bench) -> Result:
    """Memory of rooms with the shortest window, once it is full."""
    rows = []
    for count in (1, 11):
        row = Row({"rooms": count}, {"seconds": ROOMS_AFTER_S})
        with live(bench, {}, rooms=count) as (target, _):
            begin, cpu, busy = time.monotonic(), cpu_s(target.pid), busy_cpu_s()
            time.sleep(ROOMS_AFTER_S)
            wall_s, used = time.monotonic() - begin, cpu_s(target.pid) - cpu
            kib = processes.resident_kib(target.pid)
            # The publishers are among the others here.
            others = (busy_cpu_s() - busy - used) / wall_s
            row.runs.append({"rss_kib": kib, "server_cores": used / wall_s, "others_cores": max(0.0, others)})
        rows.append(row)
    mib = ((rows[1].median("rss_kib") or 0) - (rows[0].median("rss_kib") or 0)) / 10 / 1024
    return Result(rows, ["rss", "cores", "others"], [f"A room costs {mib:.1f} MiB."], {"mib_per_room": mib})


SCENARIOS: dict[str, Callable[[Bench], Result]] = {
    "hls-waiters": hls_waiters,
    "hls-answers": hls_answers,
    "hls-age": hls_age,
    "hls-rooms": hls_rooms,
}
