#!/usr/bin/env -S python3 -B
"""Measures what viewers cost: `onair serve` as the server, `onair load` as publishers and viewers; HLS by clients of its own.

usage: bench/run.py [SCENARIO…]; --list names them
Prints tables, and writes them into docs/performance.md and each scenario's figures into bench/results.
"""

import argparse
import datetime
import os
import pathlib
import sys
import time
from collections.abc import Callable

import hls
import peer
import processes
import scenarios
import tables
from measure import Failed

SCENARIOS: dict[str, Callable[[scenarios.Bench], tables.Result]] = {
    "viewers": scenarios.viewers,
    "bitrates": scenarios.bitrates,
    "workers": scenarios.workers,
    "rooms": scenarios.rooms,
    "saturation": scenarios.saturation,
    "pacing": scenarios.pacing,
    "churn": scenarios.churn,
    "loss": scenarios.loss,
    **hls.SCENARIOS,
}

# It takes a server beside ours, and is the last.
PEER = "peer"
NAMES = (*SCENARIOS, PEER)


def main() -> int:
    options = parse()
    if options.list:
        for name, scenario in (*SCENARIOS.items(), (PEER, peer.peer)):
            print(f"{name:12} {(scenario.__doc__ or '').splitlines()[0]}")
        return 0
    if not options.program.exists():
        print(f"bench: there is no {options.program}: cargo build --release --locked", file=sys.stderr)
        return 1
    processes.end_all_at_exit()
    try:
        failed = [name for name in options.scenarios or NAMES if not run(name, options)]
    except KeyboardInterrupt:
        return 130
    if failed:
        print(f"bench: not measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures what viewers cost.")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="all by default")
    parser.add_argument("--list", action="store_true", help="list the scenarios")
    parser.add_argument("--keep", action="store_true", help="leave bench/results and docs/performance.md alone")
    parser.add_argument("--program", type=pathlib.Path, default=built_program(), metavar="FILE", help="onair")
    parser.add_argument("--seconds", type=float, default=8, help="how long a run is measured (%(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each row; tables show medians (%(default)s)")
    parser.add_argument("--repeats", type=int, default=2, help="a disturbed run is repeated so often (%(default)s)")
    parser.add_argument("--long", action="store_true", help="churn: 400 s, 20,000 joins")
    parser.add_argument("--peer-whip", metavar="URL", help="peer: another server than Janus, `{room}` as in onair load")
    parser.add_argument("--peer-whep", metavar="URL")
    parser.add_argument("--peer-pid", type=int, metavar="PID")
    parser.add_argument("--peer-local", metavar="RANGE", help="addresses of its viewers, as in onair load --local")
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(NAMES):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    of_peer = (options.peer_whip, options.peer_whep, options.peer_pid)
    if any(of_peer) and not all(of_peer):
        parser.error("--peer-whip, --peer-whep and --peer-pid go together")
    return options


def built_program() -> pathlib.Path:
    """Returns where cargo puts the release program."""
    target = os.environ.get("CARGO_TARGET_DIR", tables.REPOSITORY / "target")
    return pathlib.Path(target, "release", "onair")


def run(name: str, options: argparse.Namespace) -> bool:
    """Measures one scenario; what cannot be measured here at all counts as done."""
    print(f"bench: {name}", file=sys.stderr)
    machine, begin = processes.machine(), time.monotonic()
    bench = scenarios.Bench(options.program, options.seconds, options.rounds, options.repeats, options.long)
    try:
        result = peer.peer(bench, given(options)) if name == PEER else SCENARIOS[name](bench)
    except peer.Unavailable as why:
        print(f"bench: {name} is left out: {why}", file=sys.stderr)
        return True
    except Failed as why:
        print(f"bench: {name}: {why}", file=sys.stderr)
        return False
    now = datetime.datetime.now(datetime.UTC)
    table = tables.markdown(result, machine, now.date())
    print(f"## {name}\n\n{table}\n", flush=True)
    print(f"bench: {name} took {time.monotonic() - begin:.0f} s", file=sys.stderr)
    if not options.keep:
        tables.save(name, result, machine, now)
        if not tables.put_into_document(name, table):
            print(f"bench: docs/performance.md has no block for {name}", file=sys.stderr)
    return True


def given(options: argparse.Namespace) -> peer.Given | None:
    """Returns the server to compare with, unless that is Janus."""
    if not options.peer_whip:
        return None
    return peer.Given(options.peer_whip, options.peer_whep, options.peer_pid, options.peer_local)


if __name__ == "__main__":
    sys.exit(main())
