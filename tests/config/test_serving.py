"""Tests for :mod:`twisted_fcgi.config.serving`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.config.test_targets import targetOf
from twisted_fcgi.config.members import Members
from twisted_fcgi.config.serving import Serving
from twisted_fcgi.settings import MemberSettings

__all__ = ["ServingTests"]

_paths = st.text(st.sampled_from("a/"), max_size=4)
_hosts = st.sampled_from(["h", "hh", "h:9"])
_urls = st.builds("fcgi://{}{}".format, _hosts, st.just("") | _paths.map("/{}".format))
_referring = st.builds("fcgi://{}/{}$1{}".format, st.sampled_from(["h", "h:9"]), _paths, _paths)


def servingOf(
    prefixes: list[str], matching: list[str] | None = None, base: Serving | None = None
) -> Serving:
    """The members of a server."""
    members = Members()
    for url in prefixes:
        members.define(targetOf(url))
    for url in matching or []:
        members.define(targetOf(url, True), True)
    return Serving(members, base)


def elected(serving: Serving, url: str, request: str) -> str | None:
    """What routing makes of the fields: the URL of the member for a request's whole URL."""
    fields = serving.fields(targetOf(url, True), None)
    member: MemberSettings = fields["member"]
    for candidate in fields.get("candidates", ()):
        if candidate.serves(request.encode()):
            return str(candidate.url)
    return member.url if member.defined and member.serves(request.encode()) else None


def httpds(serving: Serving, request: str) -> str | None:
    """What httpd does for each request: the longest name of all that serves it."""
    authority = "/".join(request.split("/")[:3])
    found: MemberSettings | None = None
    for member in serving.members:
        longer = found is None or len(member.url) > len(found.url)
        if longer and len(member.url) >= len(authority) and member.serves(request.encode()):
            found = member
    return None if found is None else found.url


class ServingTests(SynchronousTestCase):
    """Tests for :class:`Serving`."""

    @given(st.lists(_urls), st.lists(_referring), _urls, _paths)
    def test_likeHttpd(self, prefixes: list[str], matching: list[str], url: str, more: str) -> None:
        """The member for a request is the one that httpd would find among all of them."""
        serving = servingOf(prefixes, matching)
        request = url + ("/" if url.count("/") == 2 else "") + more
        self.assertEqual(httpds(serving, request), elected(serving, url, request))

    @given(st.lists(_urls), st.lists(_urls), _urls, _paths)
    def test_virtualHost(self, main: list[str], own: list[str], url: str, more: str) -> None:
        """For a virtual host, the main server's members count too."""
        serving = servingOf(own, base=servingOf(main))
        request = url + ("/" if url.count("/") == 2 else "") + more
        self.assertEqual(httpds(serving, request), elected(serving, url, request))

    def test_usual(self) -> None:
        """In the usual case there is one member and nothing to look for."""
        fields = servingOf(["fcgi://h/"]).fields(targetOf("fcgi://h/"), None)
        self.assertEqual(["member"], list(fields))

    def test_madeUp(self) -> None:
        """Without a member, one is made up that is not defined and keeps nothing."""
        member = servingOf([]).fields(targetOf("unix:/s|fcgi://h:9/x"), None)["member"]
        self.assertEqual(
            MemberSettings("fcgi://h:9/x", "h", 9, "/s", defined=False, reuse=False), member
        )

    def test_handler(self) -> None:
        """A handler's URL goes on with a path: a member with a slash serves it."""
        serving = servingOf(["fcgi://h/"])
        member = serving.fields(targetOf("fcgi://h"), None, "/")["member"]
        self.assertTrue(member.defined)
        self.assertFalse(serving.fields(targetOf("fcgi://h"), None)["member"].defined)

    def test_sockets(self) -> None:
        """A member without a socket serves any, at that socket; one with another does not."""
        serving = servingOf(["fcgi://a/", "unix:/one|fcgi://b/"])
        member = serving.fields(targetOf("unix:/s|fcgi://a/"), None)["member"]
        self.assertEqual((True, "/s"), (member.defined, member.socket))
        member = serving.fields(targetOf("unix:/two|fcgi://b/"), None)["member"]
        self.assertEqual((False, "/two"), (member.defined, member.socket))
        member = serving.fields(targetOf("fcgi://b/"), None)["member"]
        self.assertEqual((True, "/one"), (member.defined, member.socket))

    def test_otherSchemes(self) -> None:
        """Nobody serves a scheme that is not FastCGI."""
        self.assertEqual({}, servingOf([]).fields(targetOf("http://h/"), None))

    def test_changes(self) -> None:
        """A virtual host changes what is asked at addresses of its own members only."""
        serving = servingOf(["fcgi://h:9/x"], base=servingOf(["fcgi://h/"]))
        self.assertTrue(serving.changes(frozenset({"fcgi://h:9"})))
        self.assertFalse(serving.changes(frozenset({"fcgi://h"})))
