"""
Access rules that are being read: Require lines and the blocks around them.

What httpd calls a mistake is one here: a block without a requirement, one whose
requirements are all negative and so can't grant anything, and a negative one where
any other may grant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from twisted_fcgi.config.oldaccess import modernised
from twisted_fcgi.config.words import Word
from twisted_fcgi.errors import ConfigurationError
from twisted_fcgi.settings import AccessSettings, Merging, Methods, Requirement, Requirements

__all__ = ["AccessDraft", "BlockDraft"]


@dataclass(eq=False)
class BlockDraft:
    """
    A block, or what a section has outside of blocks: as ``<RequireAny>``.

    :ivar name: the word that opened it, or its first requirement.
    :ivar title: for messages.
    """

    name: Word
    title: str = "<RequireAny>"
    all: bool = False
    negated: bool = False
    members: list[Requirement | BlockDraft] = field(default_factory=list)

    def add(self, member: Requirement | BlockDraft, name: Word) -> None:
        """
        Add a requirement or a block that was read.

        :raises ConfigurationError: when it is negative, and can't have an effect.
        """
        if member.negated and not self.all:
            what = member.title if isinstance(member, BlockDraft) else member.text
            raise name.error(
                f"{what} has no effect in {self.title}, where another may grant all the same",
                f"<RequireAll>; Require all granted; {what}; </RequireAll>",
            )
        self.members.append(member)

    def check(self, title: str) -> None:
        """
        Hold it to what httpd demands when all was read.

        :raises ConfigurationError: when nothing in it can grant anything.
        """
        for member in self.members:
            if isinstance(member, BlockDraft):
                member.check(member.title)
        if all(member.negated for member in self.members):
            raise self.name.error(
                f"{title} has only negative requirements, and grants nothing",
                "Require all granted",
            )

    def finish(self) -> Requirements:
        """The settings."""
        members: list[Requirement | Requirements] = []
        methods = ~Methods()
        for member in self.members:
            done = member.finish() if isinstance(member, BlockDraft) else member
            methods |= done.methods
            if isinstance(done, Requirements) and done.negated and done.all is not self.all:
                # De Morgan, as httpd does it: <Limit> means something else in each of both.
                members += [replace(one, negated=not one.negated) for one in done.members]
            else:
                members.append(done)
        return Requirements(tuple(members), self.all, self.negated, methods)


class AccessDraft:
    """
    What a section says of access.

    :ivar block: what Require lines are added to, or ``None`` before the first.
    :ivar methods: of ``<Limit>`` and ``<LimitExcept>`` around the line that is read.
    :ivar enclosed: whether there is one of these, or a block, around it.
    :ivar negated: whether ``<RequireNone>`` is among these blocks.
    :ivar old: Order, Allow, Deny and Satisfy: the name, and what is behind it.
    """

    def __init__(self) -> None:
        self.block: BlockDraft | None = None
        self.methods = Methods()
        self.enclosed = self.negated = False
        self.merging: Merging | None = None
        self.forbids: bool | None = None
        self.old: list[tuple[Word, list[Word]]] = []

    def add(self, member: Requirement | BlockDraft, name: Word) -> None:
        """Add a requirement or a block that was read to what is around it."""
        if self.block is None:
            self.block = BlockDraft(name)
        self.block.add(member, name)

    def mistakes(self, title: str) -> Iterator[ConfigurationError]:
        """
        What is wrong with the whole, when the content of a section was read.

        :param title: of the section; for one that is only a part of it, there is nothing yet.
        """
        if self.enclosed:
            return
        if self.old:
            yield modernised(self.old)
        if self.block is not None and self.block.members:
            try:
                self.block.check(title)
            except ConfigurationError as error:
                yield error

    def finish(self) -> AccessSettings:
        """The settings."""
        required = None
        if self.block is not None and self.block.members:
            required = self.block.finish()
        return AccessSettings(required, self.merging, self.forbids)
