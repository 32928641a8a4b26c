"""
What a balancer knows of each member.

httpd keeps the same figures in shared memory for each worker; here they belong
to the one process that elects.
"""

from __future__ import annotations

import re
from hashlib import sha256
from math import inf

from twisted_fcgi.balance.health import Health
from twisted_fcgi.settings import MemberSettings

__all__ = ["STATUSES", "MemberState", "slowStarted"]

#: httpd's status letters that can be set, and which attribute each one is.
STATUSES = {
    "D": "disabled",
    "S": "stopped",
    "I": "ignoresErrors",
    "R": "spare",
    "H": "standby",
    "N": "draining",
    "C": "checkFailed",
    "E": "inError",
}

_IN_COOKIE = re.compile(rb"[A-Za-z0-9._~-]+")

#: The steps in which a member that came back gets its whole factor again.
SLOW_START_STEPS = 10


def slowStarted(factor: int, period: float, age: float) -> tuple[int, float]:
    """
    A member's factor some time after it came back: a tenth, two tenths, ...

    :param factor: its whole factor.
    :param period: how long it takes, in seconds.
    :param age: since when it is back, in seconds.
    :returns: the factor, and the age at which it changes.
    """
    step = int(age * SLOW_START_STEPS / period) + 1 if age < period else SLOW_START_STEPS
    if step >= SLOW_START_STEPS:
        return factor, inf
    return max(1, factor * step // SLOW_START_STEPS), step * period / SLOW_START_STEPS


class MemberState:
    """
    The small mutable state of one member in one balancer.

    Only its balancer changes it.

    :ivar settings: what was configured for it.
    :ivar name: what tells it from all others.
    :ivar route: its name in sessions.
    :ivar cookieRoute: the same in a cookie of ours: a digest, when there is none or it
        can't stand in a cookie.
    :ivar redirect: the route that takes its sessions over when it can't.
    :ivar lbset: the set that it is in; a lower one is asked first.
    :ivar loadFactor: its share of the work, in hundredths.
    :ivar factor: the same, less while it starts slowly.
    :ivar lbstatus: how urgently it has to work to do its share, as of the balancer's
        last :meth:`~twisted_fcgi.balance.Balancer.settle`.
    :ivar competes: whether it is among those of whom the next one is elected.
    :ivar elected: how often it was elected.
    :ivar busy: requests that it works on.
    :ivar transferred: bytes that were sent to it.
    :ivar read: bytes that it sent.
    :ivar disabled: status D: gets no requests.
    :ivar stopped: status S: likewise, and is neither checked nor tried again.
    :ivar ignoresErrors: status I: is never put into error state.
    :ivar spare: status R: stands in for a member of its set that can't work.
    :ivar standby: status H: works when no other member of its set can.
    :ivar draining: status N: gets requests of its own sessions only.
    :ivar checkFailed: status C: failed its health checks.
    :ivar failedAt: when it was put into error state, or ``None``.
    :ivar reason: why it was, for people.
    :ivar retries: how often it was tried again since it worked last.
    :ivar returnedAt: when it came back from error state, or ``None``.
    :ivar drainUntil: when a draining member gives up its sessions.
    :ivar health: its health checks.
    """

    __slots__ = ("busy", "checkFailed", "competes", "cookieRoute", "disabled", "drainUntil",
                 "draining", "elected", "factor", "failedAt", "health", "ignoresErrors", "lbset",
                 "lbstatus", "loadFactor", "name", "read", "reason", "redirect", "retries",
                 "returnedAt", "route", "settings", "spare", "standby", "stopped",
                 "transferred")  # fmt: skip

    def __init__(self, settings: MemberSettings) -> None:
        self.name = f"{settings.url}|{settings.socket or ''}".encode("utf-8", "surrogateescape")
        self.lbstatus = self.elected = self.busy = self.transferred = self.read = 0
        self.competes = False
        self.checkFailed = "C" in settings.status
        self.failedAt: float | None = None
        self.reason = ""
        self.retries = 0
        self.health = Health()
        self.returnedAt: float | None = None
        self._setShare(settings)
        self._setStatus(settings)
        self._setPlace(settings)

    def configure(self, settings: MemberSettings) -> None:
        """
        Take over other settings.

        Figures and health stay, and so does what was changed by hand, as long as the
        configuration says the same of it as before.
        """
        if settings.loadFactor != self.settings.loadFactor:
            self._setShare(settings)
        if settings.status != self.settings.status:
            self._setStatus(settings)
        if settings.check != self.settings.check:
            # What another check found says nothing, and without one nobody would find out.
            self.health = Health()
            self.checkFailed = "C" in settings.status
        self._setPlace(settings)

    def _setShare(self, settings: MemberSettings) -> None:
        self.factor = self.loadFactor = settings.loadFactor

    def _setStatus(self, settings: MemberSettings) -> None:
        self.disabled = "D" in settings.status
        self.stopped = "S" in settings.status
        self.ignoresErrors = "I" in settings.status
        self.spare = "R" in settings.status
        self.standby = "H" in settings.status
        self.draining = "N" in settings.status
        self.drainUntil = inf
        # E does nothing here: as in httpd, no time is set, so that it is over at once.

    def _setPlace(self, settings: MemberSettings) -> None:
        self.settings = settings
        self.lbset = settings.lbset
        self.route = settings.route.encode("utf-8", "surrogateescape")
        self.redirect = settings.redirect.encode("utf-8", "surrogateescape")
        self.cookieRoute = self.route
        if not _IN_COOKIE.fullmatch(self.route):
            self.cookieRoute = sha256(self.name).hexdigest()[:16].encode("ascii")

    def returned(self, now: float) -> None:
        """It is in error state no more."""
        self.failedAt = None
        self.reason = ""
        self.returnedAt = now if self.settings.slowStart else None

    @property
    def inError(self) -> bool:
        """Status E: it failed, and is left alone for a while."""
        return self.failedAt is not None

    @property
    def status(self) -> str:
        """Its status letters, in the order of :data:`STATUSES`."""
        return "".join(letter for letter, name in STATUSES.items() if getattr(self, name))

    @property
    def usable(self) -> bool:
        """Whether it can be given a request (httpd: ``PROXY_WORKER_IS_USABLE``)."""
        return self.failedAt is None and not (self.disabled or self.stopped or self.checkFailed)

    @property
    def drained(self) -> bool:
        """Whether it can be taken away: it works on nothing, and nothing new comes."""
        return not self.busy and (self.disabled or self.stopped)

    def __repr__(self) -> str:
        return (
            f"<MemberState {self.settings.url} {self.status or 'Ok'} elected={self.elected} "
            f"busy={self.busy} lbstatus={self.lbstatus}>"
        )
