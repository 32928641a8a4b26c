"""
One RewriteCond, prepared (httpd: ``apply_rewrite_cond``).

What is odd there is so here: of two texts the longer one is the greater, and a last condition
with the flag OR never fails.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from twisted_fcgi.expr import EvaluationError, RequestContext, fileStatus
from twisted_fcgi.pcre import Match
from twisted_fcgi.routing.expansion import Expansion
from twisted_fcgi.settings import RewriteCondition, RewriteMap

if TYPE_CHECKING:
    from twisted_fcgi.routing.rewriterule import Run

__all__ = ["Condition", "looseInteger"]

_NUMBER = re.compile(rb"[ \t\n\v\f\r]*([+-]?[0-9]+)")


def looseInteger(text: bytes) -> int:
    """A number as C's ``atoi`` reads it."""
    match = _NUMBER.match(text[:64])
    return int(match[1]) if match is not None else 0


class Condition:
    """A RewriteCond, prepared."""

    def __init__(self, condition: RewriteCondition, maps: Mapping[bytes, RewriteMap]) -> None:
        self.text = Expansion(condition.text, maps)
        self.negated = condition.negated
        self.orNext = "OR" in condition.flags
        self.silent = "NV" in condition.flags
        self.test = self._testOf(condition)

    def _testOf(self, condition: RewriteCondition) -> Callable[[Run, bytes], bool]:
        test, operand = condition.test, condition.operand
        if test == "regex":
            assert condition.pattern is not None
            return partial(_matches, condition.pattern.search, not condition.negated)
        if test == "expr":
            assert condition.holds is not None
            return partial(_holds, condition.holds, not condition.negated, self.silent)
        if test in _TYPE_TESTS:
            return partial(_isOfType, _TYPE_TESTS[test])
        if test in _STATUS_TESTS:
            return partial(_isSo, _STATUS_TESTS[test], test != "-l")
        if test in ("-U", "-F"):
            return partial(_isReachable, test == "-F")
        if test in _NUMBER_TESTS:
            compare, number = _NUMBER_TESTS[test], looseInteger(operand)
            return lambda run, text: compare(looseInteger(text), number)
        order = _TEXT_TESTS[test]
        if "NC" in condition.flags:
            lower = operand.lower()
            return lambda run, text: order((text.lower() > lower) - (text.lower() < lower))
        if test == "=":
            return lambda run, text: text == operand
        # A longer text is the greater one, whatever is in it (compare_lexicography).
        key = len(operand), operand
        return lambda run, text: order(((len(text), text) > key) - ((len(text), text) < key))


_TEXT_TESTS: dict[str, Callable[[int], bool]] = {
    "=": lambda order: order == 0,
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}

_NUMBER_TESTS: dict[str, Callable[[int, int], bool]] = {
    "-eq": lambda left, right: left == right,
    "-lt": lambda left, right: left < right,
    "-le": lambda left, right: left <= right,
    "-gt": lambda left, right: left > right,
    "-ge": lambda left, right: left >= right,
}

_TYPE_TESTS = {"-f": stat.S_IFREG, "-d": stat.S_IFDIR}

_STATUS_TESTS: dict[str, Callable[[os.stat_result], bool]] = {
    "-l": lambda status: stat.S_ISLNK(status.st_mode),
    "-s": lambda status: stat.S_ISREG(status.st_mode) and status.st_size > 0,
    "-x": lambda status: status.st_mode & 0o111 != 0,
}


def _matches(search: Callable[[bytes], Match | None], kept: bool, run: Run, text: bytes) -> bool:
    match = search(text)
    if match is not None and kept:
        run.conditionMatch = match
    return match is not None


def _holds(
    holds: Callable[[RequestContext], bool], kept: bool, silent: bool, run: Run, text: bytes
) -> bool:
    run.grounds.lasting = False
    context = RequestContext(run.request, run)
    try:
        held = holds(context)
    except EvaluationError:
        return False
    if not silent:
        run.context.vary += context.vary
    if held and kept:
        run.conditionMatch = context.match
    return held


def _isOfType(type: int, run: Run, text: bytes) -> bool:
    return run.grounds.modeOf(text) == type


def _isSo(test: Callable[[os.stat_result], bool], followed: bool, run: Run, text: bytes) -> bool:
    run.grounds.lasting = False
    status = fileStatus(text, followed)
    return status is not None and test(status)


def _isReachable(isFile: bool, run: Run, text: bytes) -> bool:
    found = run.ahead(text, isFile) if text else None
    if found is None:
        return False
    state, status = found
    return status < 300 and os.path.exists(state.filename) if isFile else status < 400
