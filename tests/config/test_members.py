"""Tests for :mod:`twisted_fcgi.config.members`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.config.test_targets import targetOf
from tests.config.test_words import lineOf
from twisted_fcgi.config.members import (
    MemberDraft,
    Members,
    Names,
    balancerName,
    isBalancerName,
)
from twisted_fcgi.config.words import splitWords
from twisted_fcgi.errors import ConfigurationError

__all__ = ["BalancerNameTests", "MembersTests", "NamesTests"]

_texts = st.text(st.sampled_from("ab/"), max_size=6)


class NamesTests(SynchronousTestCase):
    """Tests for :class:`Names`."""

    @given(st.lists(_texts), _texts)
    def test_beginning(self, names: list[str], text: str) -> None:
        """All that a text begins with are found, the longest first, equal ones in their order."""
        table: Names[tuple[str, int]] = Names()
        for number, name in enumerate(names):
            table.add(name, (name, number))
        expected = [(name, number) for number, name in enumerate(names) if text.startswith(name)]
        expected.sort(key=lambda thing: -len(thing[0]))
        self.assertEqual(expected, list(table.beginning(text)))

    @given(st.lists(_texts), _texts)
    def test_goingOn(self, names: list[str], text: str) -> None:
        """All that go on behind a text are found."""
        table: Names[str] = Names()
        for name in names:
            table.add(name, name)
        expected = [name for name in names if name.startswith(text) and name != text]
        self.assertEqual(sorted(expected), list(table.goingOn(text)))


class MembersTests(SynchronousTestCase):
    """Tests for :class:`Members`: httpd's rules of sharing."""

    def members(self, *urls: str, matching: bool = False) -> Members:
        """Members with these URLs."""
        members = Members()
        for url in urls:
            members.define(targetOf(url, matching), matching)
        return members

    def found(self, members: Members, url: str, matching: bool = False) -> str | None:
        """The name of the member that serves a URL."""
        member = members.find(targetOf(url, matching), matching)
        return None if member is None else member.target.name

    def test_longest(self) -> None:
        """The longest name that a URL begins with serves it."""
        members = self.members("fcgi://h/", "fcgi://h/a/b/", "fcgi://h/a/")
        self.assertEqual("fcgi://h/a/", self.found(members, "fcgi://h/a/c"))
        self.assertEqual("fcgi://h/", self.found(members, "fcgi://h/"))
        self.assertEqual("fcgi://h/a/b/", self.found(members, "fcgi://H:8000/a/b/c"))

    def test_slash(self) -> None:
        """A name with a slash does not serve the URL without."""
        self.assertIsNone(self.found(self.members("fcgi://h/"), "fcgi://h"))
        self.assertEqual("fcgi://h", self.found(self.members("fcgi://h"), "fcgi://h/"))

    def test_wholeHost(self) -> None:
        """A name never serves a host or a port that only begins like its own."""
        members = self.members("fcgi://h", "fcgi://h:90")
        self.assertIsNone(self.found(members, "fcgi://hh/"))
        self.assertIsNone(self.found(members, "fcgi://h:9000/"))

    def test_kinds(self) -> None:
        """ProxyPass and ProxyPassMatch do not share members."""
        members = self.members("fcgi://h/")
        self.assertIsNone(self.found(members, "fcgi://h/", matching=True))
        matching = self.members("fcgi://h/$1", matching=True)
        self.assertIsNone(self.found(matching, "fcgi://h/$1"))
        self.assertEqual("fcgi://h/$1", self.found(matching, "fcgi://h/$1", matching=True))

    def test_sockets(self) -> None:
        """Two sockets of one name are two members; one without a socket serves any."""
        members = self.members("unix:/a|fcgi://h/")
        self.assertIsNone(self.found(members, "unix:/b|fcgi://h/"))
        self.assertEqual("fcgi://h/", self.found(members, "unix:/a|fcgi://h/x"))
        self.assertEqual("fcgi://h/", self.found(members, "fcgi://h/x"))
        self.assertEqual("fcgi://h/", self.found(self.members("fcgi://h/"), "unix:/b|fcgi://h/"))


class ReuseTests(SynchronousTestCase):
    """What a member's name says of its connections."""

    def test_addressOfRequest(self) -> None:
        """No connection is kept where requests may choose the server, as in httpd."""
        for url, reuse in [("fcgi://h:90$1", False), ("fcgi://$1/", False), ("fcgi://h/$1", True)]:
            member = MemberDraft(targetOf(url, True), matching=True)
            member.fields["reuse"] = True
            self.assertEqual(reuse, member.settings.reuse, url)


class BalancerNameTests(SynchronousTestCase):
    """Tests for balancers' names."""

    def test_names(self) -> None:
        """A balancer's name is in lower case, without a path."""
        word = splitWords(lineOf("BALANCER://Name/path"))[0]
        self.assertTrue(isBalancerName(word))
        self.assertEqual("balancer://name", balancerName(word))

    def test_wrong(self) -> None:
        """What has no name, or a very long one, is a mistake."""
        for text in ("balancer:", "balancer:/x", "balancer://", "balancer://" + "x" * 90):
            self.assertRaises(ConfigurationError, balancerName, splitWords(lineOf(text))[0])
