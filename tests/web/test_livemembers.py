"""Tests for :mod:`twisted_fcgi.web.livemembers`."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.web.doubles import ScriptedMember
from twisted_fcgi.settings import MemberSettings
from twisted_fcgi.web.livemembers import LiveMembers

__all__ = ["LiveMembersTests"]

CONFIGURED = MemberSettings("fcgi://192.0.2.9", "192.0.2.9")


def found(number: int, **more: int) -> MemberSettings:
    """A member that DNS named."""
    host = f"192.0.2.{number}"
    return replace(MemberSettings(f"fcgi://{host}", host, origin="app.example"), **more)


class Member(ScriptedMember):
    """Ends when a test says so."""

    stopped: Deferred[None] | None = None

    def stop(self) -> Deferred[None]:
        assert self.stopped is None
        self.stopped = Deferred()
        return self.stopped


class LiveMembersTests(SynchronousTestCase):
    """Tests for :class:`LiveMembers`."""

    def setUp(self) -> None:
        self.members = LiveMembers(Member)

    def test_equal(self) -> None:
        """Equal settings have one member, and others another one."""
        one = self.members.of(found(1))
        self.assertIs(one, self.members.of(found(1)))
        other = self.members.of(found(2))
        self.assertIsNot(one, other)
        self.assertEqual([one, other], list(self.members))

    def test_leave(self) -> None:
        """One that DNS names no more ends, and would be made anew; those that are there stay."""
        first, second = found(1), found(2)
        gone, stays = self.members.of(first), self.members.of(second)
        configured = self.members.of(CONFIGURED)
        self.members.leave([second])
        self.assertIsNotNone(gone.stopped)
        self.assertIsNone(stays.stopped)
        self.assertIsNone(configured.stopped)
        self.assertIsNot(gone, self.members.of(first))
        self.members.leave([first, second])

    def test_alsoElsewhere(self) -> None:
        """One that another balancer has as well does not end."""
        first, same = found(1), found(1)
        member = self.members.of(first)
        self.assertIs(member, self.members.of(same))
        self.members.leave([same])
        self.assertIsNone(member.stopped)
        self.members.leave([])
        self.assertIsNotNone(member.stopped)

    def test_share(self) -> None:
        """One whose share of the work is another one now keeps its connections."""
        member = self.members.of(found(1))
        other = found(1, loadFactor=500, lbset=2)
        self.members.leave([other])
        self.assertIsNone(member.stopped)
        self.assertIs(member, self.members.of(other))
        self.members.leave([found(1, port=9000)])
        self.assertIsNotNone(member.stopped)

    def test_configuredShares(self) -> None:
        """Members of the configuration that differ in anything are not the same."""
        other = replace(CONFIGURED, loadFactor=500)
        self.assertIsNot(self.members.of(CONFIGURED), self.members.of(other))

    def test_stop(self) -> None:
        """All end, and those that were leaving are waited for, too."""
        first, second = self.members.of(found(1)), self.members.of(found(2))
        self.members.leave([second.settings])
        stopping = self.members.stop()
        assert second.stopped is not None and first.stopped is not None
        second.stopped.callback(None)
        self.assertNoResult(stopping)
        first.stopped.callback(None)
        self.successResultOf(stopping)

    def test_nothingIsLeft(self) -> None:
        """Of members that DNS named for a while nothing is left."""
        for number in range(100):
            member = self.members.of(found(number))
            self.members.leave([])
            assert isinstance(member, Member) and member.stopped is not None
            member.stopped.callback(None)
        members = self.members
        tables = (members._members, members._there, members._found, members._leaving)
        self.assertEqual(tables, ({}, {}, {}, {}))

    def test_many(self) -> None:
        """Among thousands, a member is compared with those at its own place only."""
        compared = []

        class Compared(MemberSettings):
            def __eq__(self, other: object) -> bool:
                compared.append(self)
                return super().__eq__(other)

            __hash__ = MemberSettings.__hash__

        for number in range(50):
            for socket in ("/run/a", "/run/b"):
                self.members.of(Compared(f"fcgi://{number}", f"{number}", socket=socket))
        self.assertEqual(100, len(list(self.members)))
        self.assertEqual([], compared)
