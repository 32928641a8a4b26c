"""
What a tree of processes uses, from ``/proc``.

CPU is the run time in nanoseconds that the scheduler accounts to each thread
(``schedstat``), which the 10 ms ticks of ``stat`` can't hide.  Memory is the
proportional set size, so that what forked processes share counts once.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType

__all__ = ["MemoryWatch", "cpuSeconds", "proportional", "resident", "tree"]

PROC = Path("/proc")


def tree(pid: int) -> list[int]:
    """
    A process and all that descend from it.

    :param pid: of the process at the top.
    :returns: the ids of those alive, the top first.
    """
    parents = {}
    for entry in os.listdir(PROC):
        if entry.isdigit():
            try:
                stat = (PROC / entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    pids = [pid]
    for known in pids:
        pids += [child for child, parent in parents.items() if parent == known]
    return pids


def cpuSeconds(pid: int) -> float:
    """
    CPU time of a process and its descendants so far.

    Threads and processes that ended in between are missing, so a proxy has to
    keep those that it has while it is measured.
    """
    total = 0
    for known in tree(pid):
        for path in (PROC / str(known) / "task").glob("*/schedstat"):
            try:
                total += int(path.read_text().split()[0])
            except OSError:
                continue
    return total / 1e9


def _kilobytes(pid: int, file: str, field: str) -> int:
    try:
        text = (PROC / str(pid) / file).read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return 0


def proportional(pid: int) -> int:
    """Bytes of memory of a process and its descendants, shared pages divided (PSS)."""
    return 1024 * sum(_kilobytes(known, "smaps_rollup", "Pss") for known in tree(pid))


def resident(pid: int) -> int:
    """Bytes of memory of a process and its descendants, what they share counted for each (RSS)."""
    return 1024 * sum(_kilobytes(known, "status", "VmRSS") for known in tree(pid))


class MemoryWatch:
    """
    Looks at the PSS of a tree every so often, while a ``with`` block runs.

    :param interval: seconds; ``None``: only at the end.
    :ivar peak: the most that was seen, in bytes.
    """

    def __init__(self, pid: int, interval: float | None) -> None:
        self.pid = pid
        self.interval = interval
        self.peak = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        over = False
        while not over:
            over = self._over.wait(self.interval)
            self.peak = max(self.peak, proportional(self.pid))

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
