"""What the benchmark starts, and what the operating system says about it.

Whatever is started here is ended when this program ends, however it ends.
"""

import atexit
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
from types import FrameType
from typing import IO

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1

# A server says goodbye to every viewer; run.sh waits five seconds for Janus.
_END_TIMEOUT_S = 15

_running: list[subprocess.Popen[str]] = []


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def start(command: list[str], stderr: IO[str], stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """Starts a program, from the main thread: it is ended with the thread that started it."""
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, text=True, preexec_fn=_end_with_parent
    )
    _running.append(child)
    return child


def end(child: subprocess.Popen[str]) -> None:
    """Ends a program that `start` started, if it has not ended yet, and waits for it."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child.stdout is not None:
        child.stdout.close()
    if child in _running:
        _running.remove(child)


def end_all_at_exit() -> None:
    """Ends what runs when this program ends or is told to."""
    atexit.register(_end_all)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit)


def _end_all() -> None:
    for child in reversed(_running.copy()):
        end(child)


def _exit(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def resident_kib(pid: int) -> int | None:
    """Returns how much memory a process has, `None` when it is gone."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), None)


def machine() -> dict[str, str | int | float]:
    """Describes this machine."""
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    meminfo = pathlib.Path("/proc/meminfo").read_text().split()
    models = (line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name"))
    return {
        "cpu": next(models, "unknown"),
        "cores": os.cpu_count() or 1,
        "memory_gib": round(int(meminfo[1]) / 1024 / 1024),
        "kernel": os.uname().release,
        "arch": os.uname().machine,
        "rmem_max_bytes": int(pathlib.Path("/proc/sys/net/core/rmem_max").read_text()),
        "load_average_before": round(os.getloadavg()[0], 2),
    }
