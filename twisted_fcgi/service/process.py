"""
Our own process: who it is, the signals that httpd's users send, its memory.

twistd listens, opens the logs and then becomes who its ``--uid`` and ``--gid`` say; User
and Group of the configuration are put in their place.  Their names are looked up once,
before anything is started.
"""

from __future__ import annotations

import ctypes  # which Twisted has imported
import gc
import os
import signal
from collections.abc import MutableMapping
from typing import Any

from twisted.logger import Logger

from twisted_fcgi.errors import ConfigurationError, ConfigurationErrors
from twisted_fcgi.settings import Settings

__all__ = ["YOUNG", "HeededSignals", "becomeUser", "effectiveUser", "hazardOfRoot", "settleMemory"]

log = Logger()

#: Objects that may come, and not go, before the garbage collector looks at them.
YOUNG = 10000

_NOT_THERE = "{} {}: there is nobody of that name"


def becomeUser(settings: Settings, twistd: MutableMapping[str, Any], effective: int) -> None:
    """
    Put User and Group where twistd looks for who to become.

    :param twistd: its own options; what they say already is stronger.
    :param effective: the effective user id; only root can become somebody else.
    :raises ConfigurationErrors: there is no such user or group.
    """
    if effective != 0 or (settings.user is None and settings.group is None):
        return
    import grp  # where there is no root, there may be neither
    import pwd

    missing = []
    uid = gid = None
    if settings.user is not None:
        try:
            number = _number(settings.user)
            entry = pwd.getpwnam(settings.user) if number is None else pwd.getpwuid(number)
            uid, gid = entry.pw_uid, entry.pw_gid
        except KeyError:
            missing.append(ConfigurationError(_NOT_THERE.format("User", settings.user)))
    if settings.group is not None:
        try:
            gid = _number(settings.group)
            if gid is None:
                gid = grp.getgrnam(settings.group).gr_gid
        except KeyError:
            missing.append(ConfigurationError(_NOT_THERE.format("Group", settings.group)))
    if missing:
        raise ConfigurationErrors(missing)
    if twistd.get("uid") is None and uid is not None:
        twistd["uid"] = uid
    if twistd.get("gid") is None and gid is not None:
        twistd["gid"] = gid


def _number(word: str) -> int | None:
    """httpd's ``#number``; ``None`` for a name."""
    digits = word[1:]
    return int(digits) if word.startswith("#") and digits.isdigit() else None


def hazardOfRoot(twistd: MutableMapping[str, Any], effective: int) -> str:
    """What is to be said when root goes on being root, or nothing."""
    if effective != 0 or twistd.get("uid"):
        return ""
    return (
        "it runs as root, so that a request may get any file below DocumentRoot: "
        "say who to be instead with User and Group, or twistd's --uid and --gid"
    )


class HeededSignals:
    """
    SIGHUP and SIGUSR1, which reload httpd, and would end a process that knows nothing of them.

    :param reactor: tells the log in a turn of its own.
    """

    NUMBERS = (signal.SIGHUP, signal.SIGUSR1)

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._before: dict[int, Any] = {}

    def start(self) -> None:
        """Hear them; only the main thread can."""
        try:
            for number in self.NUMBERS:
                self._before[number] = signal.signal(number, self._came)
        except ValueError:
            pass

    def stop(self) -> None:
        """Hear them no more."""
        while self._before:
            number, before = self._before.popitem()
            signal.signal(number, before)

    def _came(self, number: int, frame: object) -> None:
        name = signal.Signals(number).name
        self._reactor.callFromThread(
            log.warn,
            "{name}: nothing was reloaded; the configuration is read at the start only",
            name=name,
        )


def settleMemory() -> None:
    """
    Let the garbage collector leave alone what the start has made, which is there for good.

    A look at all of that takes 20 ms, in which nobody is answered.  Requests and connections
    are no garbage of its kind, so it is seldom needed at all: by default it would look after
    each 700 of the objects of those that wait, again and again.

    And let the C library give back what was only needed for a while: 0.6 MB where modules had
    to be compiled by Python first.
    """
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        pass  # it is not glibc


def effectiveUser() -> int:
    """Whose rights it has; -1 where there is no such thing."""
    return os.geteuid() if hasattr(os, "geteuid") else -1
