"""
The operators with a dash: ``-z word``, ``word -ipmatch word``.

A row is a name, what it does, and a line of documentation.  Names of unary ones are
compared with their case, those of binary ones without, as httpd does.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from twisted_fcgi.expr.context import Condition, Context, Operand, Word, fileStatus
from twisted_fcgi.pcre import compileWildcards
from twisted_fcgi.subnets import Subnet, parseSubnet

__all__ = ["BINARY", "UNARY", "Operator"]


@dataclass(frozen=True)
class Operator:
    """
    A row of :data:`UNARY` or :data:`BINARY`.

    :ivar prepare: makes the condition of the operand (on the right), and of the
        left word for a binary one; raises :exc:`ValueError` for a bad constant.
    """

    name: bytes
    prepare: Callable[..., Condition]
    doc: str


def _subnet(operand: Operand) -> Subnet:
    """A constant subnet."""
    if operand.constant is None:
        raise ValueError("a subnet has to be constant")
    return parseSubnet(operand.constant.decode("latin-1"))


def _prepareClient(operand: Operand) -> Condition:
    subnet = _subnet(operand)
    return lambda context: subnet.contains(context.variable(b"REMOTE_ADDR") or b"")


def _prepareAddress(operand: Operand, left: Word) -> Condition:
    subnet = _subnet(operand)
    return lambda context: subnet.contains(left(context))


def _prepareWildcard(slashes: bool, caseless: bool) -> Callable[[Operand, Word], Condition]:
    def prepare(operand: Operand, left: Word) -> Condition:
        if operand.constant is not None:
            search = compileWildcards(operand.constant, slashes=slashes, ignoreCase=caseless).search
            return lambda context: search(left(context)) is not None
        right = operand.evaluate

        def isLike(context: Context) -> bool:
            like = compileWildcards(right(context), slashes=slashes, ignoreCase=caseless)
            return like.search(left(context)) is not None

        return isLike

    return prepare


def _prepareFile(
    test: Callable[[os.stat_result], bool], follow: bool = True
) -> Callable[[Operand], Condition]:
    def prepare(operand: Operand) -> Condition:
        word = operand.evaluate

        def holds(context: Context) -> bool:
            status = fileStatus(word(context), follow)
            return status is not None and test(status)

        return holds

    return prepare


def _prepareReachable(isFile: bool) -> Callable[[Operand], Condition]:
    def prepare(operand: Operand) -> Condition:
        word = operand.evaluate
        return lambda context: context.reachable(word(context), isFile)

    return prepare


_FALSE_WORDS = frozenset((b"", b"0", b"off", b"false", b"no"))


def _prepareTruth(operand: Operand) -> Condition:
    word = operand.evaluate
    return lambda context: word(context).lower() not in _FALSE_WORDS


def _prepareEmpty(empty: bool) -> Callable[[Operand], Condition]:
    def prepare(operand: Operand) -> Condition:
        word = operand.evaluate
        return lambda context: (not word(context)) is empty

    return prepare


_isLink = _prepareFile(lambda status: stat.S_ISLNK(status.st_mode), follow=False)

UNARY: dict[bytes, Operator] = {
    row.name: row
    for row in (
        Operator(b"-n", _prepareEmpty(False), "the word is not empty"),
        Operator(b"-z", _prepareEmpty(True), "the word is empty"),
        Operator(b"-T", _prepareTruth, "the word is none of: empty, 0, off, false, no"),
        Operator(b"-R", _prepareClient, "the client's address is in the subnet"),
        Operator(b"-d", _prepareFile(lambda s: stat.S_ISDIR(s.st_mode)), "a directory"),
        Operator(b"-e", _prepareFile(lambda s: True), "a file, directory or special file"),
        Operator(b"-f", _prepareFile(lambda s: stat.S_ISREG(s.st_mode)), "a regular file"),
        Operator(
            b"-s",
            _prepareFile(lambda s: stat.S_ISREG(s.st_mode) and s.st_size > 0),
            "a regular file that is not empty",
        ),
        Operator(b"-L", _isLink, "a symbolic link"),
        Operator(b"-h", _isLink, "a symbolic link"),
        Operator(b"-x", _prepareFile(lambda s: s.st_mode & 0o111 != 0, follow=False), "executable"),
        Operator(b"-F", _prepareReachable(True), "a file that a request would get"),
        Operator(b"-U", _prepareReachable(False), "a local URL that a request would get"),
        Operator(b"-A", _prepareReachable(False), "the same as -U"),
    )
}

BINARY: dict[bytes, Operator] = {
    row.name: row
    for row in (
        Operator(b"-ipmatch", _prepareAddress, "the address is in the subnet"),
        Operator(b"-strmatch", _prepareWildcard(True, False), "the text is like the wildcards"),
        Operator(b"-strcmatch", _prepareWildcard(True, True), "the same without case"),
        Operator(b"-fnmatch", _prepareWildcard(False, False), "the same; * does not match a slash"),
    )
}
