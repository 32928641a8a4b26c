"""Tests for :mod:`twisted_fcgi.service.process`."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import weakref
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.errors import ConfigurationErrors
from twisted_fcgi.service.process import (
    YOUNG,
    HeededSignals,
    becomeUser,
    hazardOfRoot,
    settleMemory,
)
from twisted_fcgi.settings import Settings

__all__ = ["BecomeUserTests", "HeededSignalsTests"]


class BecomeUserTests(SynchronousTestCase):
    """Tests for :func:`becomeUser`, with the user and the group that every system has."""

    def asked(self, effective: int = 0, twistd: Any = None, **settings: str) -> Any:
        """What twistd is told."""
        twistd = {} if twistd is None else twistd
        becomeUser(Settings(**settings), twistd, effective)  # type: ignore[arg-type]
        return twistd

    def test_names(self) -> None:
        """Names are looked up; without Group it is the user's own."""
        self.assertEqual(self.asked(user="nobody")["uid"], 65534)
        self.assertEqual(set(self.asked(user="nobody")), {"uid", "gid"})
        self.assertEqual(self.asked(user="nobody", group="root"), {"uid": 65534, "gid": 0})

    def test_numbers(self) -> None:
        """A number stands behind a hash sign."""
        self.assertEqual(self.asked(user="#65534", group="#7"), {"uid": 65534, "gid": 7})

    def test_unknown(self) -> None:
        """Each name that nobody has is a mistake."""
        errors = self.assertRaises(
            ConfigurationErrors, self.asked, user="no such user", group="no such group"
        )
        self.assertEqual(len(errors.errors), 2)
        self.assertIn("no such user", str(errors))

    def test_twistdFirst(self) -> None:
        """What twistd was told is stronger."""
        asked = self.asked(twistd={"uid": 5, "gid": 6}, user="nobody")
        self.assertEqual(asked, {"uid": 5, "gid": 6})

    def test_notRoot(self) -> None:
        """Nobody but root becomes another one, and no name is looked up."""
        self.assertEqual(self.asked(effective=1000, user="no such user"), {})

    def test_hazard(self) -> None:
        """Root that goes on being root is worth a notice, and nobody else is."""
        self.assertIn("runs as root", hazardOfRoot({}, 0))
        self.assertEqual("", hazardOfRoot({"uid": 33}, 0))
        self.assertEqual("", hazardOfRoot({}, 1000))


class HeededSignalsTests(SynchronousTestCase):
    """Tests for :class:`HeededSignals`."""

    def test_survived(self) -> None:
        """SIGHUP and SIGUSR1 end nothing, and the log says what they did not do."""
        said: list[Any] = []
        globalLogPublisher.addObserver(said.append)
        self.addCleanup(globalLogPublisher.removeObserver, said.append)
        before = signal.getsignal(signal.SIGHUP)
        reactor = MemoryReactorClock()
        reactor.callFromThread = lambda what, *args, **kw: what(*args, **kw)  # type: ignore[method-assign]
        heeded = HeededSignals(reactor)
        heeded.start()
        for number in (signal.SIGHUP, signal.SIGUSR1):
            os.kill(os.getpid(), number)
        heeded.stop()
        warned = [event["name"] for event in said if event["log_level"] is LogLevel.warn]
        self.assertEqual(warned, ["SIGHUP", "SIGUSR1"])
        self.assertIs(signal.getsignal(signal.SIGHUP), before)


class SettleMemoryTests(SynchronousTestCase):
    """Tests for :func:`settleMemory`."""

    def setUp(self) -> None:
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        self.addCleanup(gc.unfreeze)

    def test_otherLibrary(self) -> None:
        """Where the C library can give nothing back, all else is done."""
        self.patch(ctypes, "CDLL", lambda name: object())
        settleMemory()
        self.assertEqual(gc.get_threshold()[0], YOUNG)

    def test_circlesEnd(self) -> None:
        """What was there stays out of it, what comes later and is a circle is still collected."""
        settleMemory()
        self.assertGreater(gc.get_freeze_count(), 1000)

        class Circle:
            def __init__(self) -> None:
                self.self = self

        gone = weakref.ref(Circle())
        self.assertIsNotNone(gone())
        held = [[] for _ in range(2 * YOUNG)]  # type: ignore[var-annotated]
        self.assertIsNone(gone())
        self.assertEqual(len(held), 2 * YOUNG)
