"""
httpd's election, plainly: each step looks at each member, as mod_proxy_balancer does.

What :mod:`twisted_fcgi.balance` differs in by intention is the same here: members
that were tried are left out, and a member is back as soon as its ``retry`` is over.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

__all__ = ["Reference", "Worker"]


@dataclass(eq=False)
class Worker:
    """
    A member.

    :ivar status: its letters.
    """

    number: int
    factor: int = 100
    lbset: int = 0
    route: bytes = b""
    retry: float = 60.0
    status: str = ""
    failedAt: float = 0.0
    lbstatus: int = 0
    busy: int = 0

    def usable(self) -> bool:
        return not set(self.status) & set("DSEC")


class Reference:
    """
    A balancer.

    :param byBusyness: elect as mod_lbmethod_bybusyness does.
    """

    def __init__(self, workers: Sequence[Worker], byBusyness: bool = False) -> None:
        self.workers = workers
        self.byBusyness = byBusyness

    def elect(
        self, now: float, tried: Collection[Worker] = (), route: bytes = b""
    ) -> Worker | None:
        for worker in self.workers:
            if "E" in worker.status and now > worker.failedAt + worker.retry:
                self.recover(worker)
        if all("E" in worker.status for worker in self.workers if worker not in tried):
            for worker in self.workers:
                if worker not in tried:
                    self.recover(worker)
        for standby in (False, True):
            for worker in self.workers:
                if (
                    route
                    and worker.route == route
                    and ("H" in worker.status) is standby
                    and worker.usable()
                    and worker not in tried
                ):
                    return self._charge(worker, [w for w in self.workers if w.usable()])
        for lbset in range(100):
            candidates = self._candidates(lbset, tried)
            if candidates:
                return self._charge(None, candidates)
        return None

    def fail(self, worker: Worker, now: float) -> None:
        if "E" not in worker.status:
            worker.status += "E"
        worker.failedAt = now

    def recover(self, worker: Worker) -> None:
        worker.status = worker.status.replace("E", "")

    def _candidates(self, lbset: int, tried: Collection[Worker]) -> list[Worker]:
        working, spares, standbys = [], [], []
        unusable = 0
        for worker in self.workers:
            if worker.lbset != lbset:
                continue
            usable = worker.usable() and worker not in tried
            if "N" in worker.status:
                if not set(worker.status) & set("RH"):
                    unusable += 1
            elif "R" in worker.status:
                if usable:
                    spares.append(worker)
            elif "H" in worker.status:
                if usable:
                    standbys.append(worker)
            elif usable:
                working.append(worker)
            else:
                unusable += 1
        return working + spares[:unusable] or standbys

    def _charge(self, best: Worker | None, candidates: list[Worker]) -> Worker:
        """
        :param best: who is elected whatever the figures say.
        """
        choose = best is None
        for worker in candidates:
            worker.lbstatus += worker.factor
            if choose and (best is None or self._isBetter(worker, best)):
                best = worker
        assert best is not None
        best.lbstatus -= sum(worker.factor for worker in candidates)
        return best

    def _isBetter(self, worker: Worker, best: Worker) -> bool:
        if self.byBusyness and worker.busy != best.busy:
            return worker.busy < best.busy
        return worker.lbstatus > best.lbstatus
