"""
What a balancer knows of each member.

Apache keeps the same figures in shared memory for each worker; here they
belong to the one process that elects.
"""

from __future__ import annotations

from twisted_fcgi.settings import MemberSettings

__all__ = ["STATUSES", "MemberState"]

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


class MemberState:
    """
    The small mutable state of one member in one balancer.

    :ivar settings: what was configured for it.
    :ivar index: its place among the members, in the order of the configuration.
    :ivar route: its name in sessions.
    :ivar redirect: the route that takes its sessions over when it can't.
    :ivar factor: its share of the work, in hundredths.
    :ivar lbstatus: how urgently it has to work to do its share, when last settled.
    :ivar elected: how often it was elected.
    :ivar busy: requests that it works on.
    :ivar transferred: bytes that were sent to it.
    :ivar read: bytes that it sent.
    :ivar disabled: status D: gets no requests.
    :ivar stopped: status S: likewise, and it is not checked or retried either.
    :ivar ignoresErrors: status I: is never put into error state.
    :ivar spare: status R: stands in for a member of its set that can't work.
    :ivar standby: status H: works when no other member of its set can.
    :ivar draining: status N: gets requests of its own sessions only.
    :ivar checkFailed: status C: failed its health checks.
    :ivar inError: status E: failed, and is left alone for a while.
    :ivar failedAt: when it was put into error state, or ``None``.
    :ivar reason: why, for people.
    :ivar retries: how often it was tried again since it worked last.
    """

    __slots__ = ("busy", "checkFailed", "disabled", "draining", "elected", "factor", "failedAt",
                 "ignoresErrors", "inError", "index", "lbstatus", "read", "reason", "redirect",
                 "retries", "route", "settings", "spare", "standby", "stopped",
                 "transferred")  # fmt: skip

    def __init__(self, settings: MemberSettings, index: int) -> None:
        self.settings = settings
        self.index = index
        self.route = settings.route.encode("utf-8", "surrogateescape")
        self.redirect = settings.redirect.encode("utf-8", "surrogateescape")
        self.factor = settings.loadFactor
        self.lbstatus = 0
        self.elected = self.busy = self.transferred = self.read = self.retries = 0
        self.disabled = self.stopped = self.ignoresErrors = False
        self.spare = self.standby = self.draining = False
        self.checkFailed = self.inError = False
        self.failedAt: float | None = None
        self.reason = ""
        for letter in settings.status:
            setattr(self, STATUSES[letter], True)

    @property
    def status(self) -> str:
        """Its status letters, in the order of :data:`STATUSES`."""
        return "".join(letter for letter, name in STATUSES.items() if getattr(self, name))

    @property
    def usable(self) -> bool:
        """Whether it can be given a request at all (httpd: PROXY_WORKER_IS_USABLE)."""
        return not (self.inError or self.disabled or self.stopped or self.checkFailed)

    def __repr__(self) -> str:
        return (
            f"<MemberState {self.settings.url} {self.status or 'Ok'} elected={self.elected} "
            f"busy={self.busy} lbstatus={self.lbstatus}>"
        )
