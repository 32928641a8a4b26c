"""
Who serves a URL, once all members are known.

httpd looks for the member of each request's whole URL.  Nearly always the
configured beginning of the URL decides; :meth:`Serving.fields` finds that member,
and the few for which the rest of a URL matters.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted_fcgi.config.members import MemberDraft, Members, Names, socketFits
from twisted_fcgi.config.reaching import Reaching
from twisted_fcgi.config.targets import SPOKEN, Target
from twisted_fcgi.settings import BalancerSettings, MemberSettings

__all__ = ["Serving", "SocketAddress", "asked"]

#: A UNIX socket's path, or a host and a port; and whether it is spoken to over TLS.
SocketAddress = tuple[str | tuple[str, int], bool]


def asked(target: Target | None, balancer: str | None) -> frozenset[str]:
    """The authority or the balancer that a URL asks."""
    if balancer is not None:
        return frozenset({balancer})
    return frozenset() if target is None else frozenset({target.authority.partition("$")[0]})


class Serving:
    """
    The members and balancers of a server.

    :param own: those that it describes.
    :param base: those of the main server, for a virtual host.
    :param reaching: how they are reached.
    :ivar members: all, the main server's first.
    :ivar balancers: all, by name.
    :ivar made: those that only a URL describes; equal ones are the same object.
    """

    def __init__(
        self, own: Members, base: Serving | None = None, reaching: Reaching | None = None
    ) -> None:
        self.base = base
        self._reaching = reaching = Reaching() if reaching is None else reaching
        for member in own.members:
            member.fields.update(reaching.fields(member.target))
        for name, balancer in own.balancers.items():
            for member in balancer.members:
                member.fields.update(reaching.fields(member.target, name))
        self.members: tuple[MemberSettings, ...] = () if base is None else base.members
        self.members += tuple(member.settings for member in own.members)
        self.balancers: dict[str, BalancerSettings] = {} if base is None else dict(base.balancers)
        for name, balancer in own.balancers.items():
            known = self.balancers.get(name)
            if known is None or not known.members:  # the main server's goes first
                self.balancers[name] = balancer.settings
        self.made: dict[MemberSettings, MemberSettings] = {}
        self._names: Names[MemberDraft] = Names()
        self._asked = frozenset(own.balancers)
        self._varies = reaching.differs
        for member in own.members:
            self._names.add(member.literal, member)
            self._asked |= {member.target.authority}
            self._varies = self._varies or member.target.varies

    def addresses(self) -> frozenset[SocketAddress]:
        """Of all applications, in whatever way a configuration has named them so far."""
        members = [*self.members, *self.made]
        for balancer in self.balancers.values():
            members += balancer.members
        own = frozenset(
            (member.socket or (member.host, member.port), member.tls is not None)
            for member in members
        )
        return own if self.base is None else own | self.base.addresses()

    def changes(self, asked: frozenset[str]) -> bool:
        """
        Whether it says something else than the main server.

        :param asked: authorities of URLs, and names of balancers.
        """
        return self._varies or not self._asked.isdisjoint(asked)

    def fields(
        self, target: Target | None, balancer: str | None, below: str = ""
    ) -> dict[str, Any]:
        """
        The fields ``member``, ``candidates``, ``balancer`` of settings that are not empty.

        :param below: what every URL goes on with (that of a handler, with a path).
        """
        if balancer is not None:
            return {"balancer": self.balancers.get(balancer, BalancerSettings(balancer))}
        if target is None or target.scheme not in SPOKEN:
            return {}
        if below and target.name == target.authority:
            target = replace(target, name=target.name + below)
        best: MemberDraft | None = None
        some: list[MemberDraft] = []
        # the longest name first, and of equal ones that which was described first
        for member in sorted(self._near(target), key=lambda member: -len(member.target.name)):
            name = member.target.name
            if target.name.startswith(name) and not (member.matching and "$" in name):
                best = member
                break  # it serves all; those behind it serve nothing
            some.append(member)
        if best is None:
            url = target.name.partition("$")[0]
            made = MemberSettings(
                url,
                target.host,
                target.port,
                target.socket,
                defined=False,
                place=target.place,
                **self._reaching.fields(target),
            )
            made = self.made.setdefault(made, made)
        else:
            made = self._at(best, target)
        if not some:
            return {"member": made}
        return {"member": made, "candidates": tuple(self._at(member, target) for member in some)}

    def _at(self, member: MemberDraft, target: Target) -> MemberSettings:
        """A member's settings; those of one without a socket serve a target's socket."""
        settings = member.settings
        if settings.socket is None and target.socket is not None:
            made = replace(settings, socket=target.socket)
            return self.made.setdefault(made, made)
        return settings

    def _near(self, target: Target) -> list[MemberDraft]:
        """The members that may serve URLs that begin like a target's, in their order."""
        literal = target.name.partition("$")[0]
        authority = target.authority.partition("$")[0]
        near = [
            member
            for member in (*self._names.beginning(literal), *self._names.goingOn(literal))
            if socketFits(member.target.socket, target.socket)
            and (member.target.varies or member.target.authority == authority)
        ]
        near.sort(key=lambda member: member.number)
        return near if self.base is None else self.base._near(target) + near
