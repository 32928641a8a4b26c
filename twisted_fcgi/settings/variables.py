"""What the configuration says of variables: SetEnv, SetEnvIf, ProxyFCGISetEnvIf."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted_fcgi.pcre import Pattern

__all__ = ["VariableChange", "VariableCondition", "VariableExpression", "VariableOverride"]


@dataclass(frozen=True)
class VariableChange:
    """
    SetEnv, PassEnv, UnsetEnv, or a part of SetEnvIf.

    Names are case-insensitive, as in httpd's tables.

    :ivar value: ``None`` to remove the variable.
    :ivar place: the line's file and number.
    """

    name: bytes
    value: bytes | None
    place: str = field(default="", compare=False)


@dataclass(frozen=True)
class VariableCondition:
    """
    SetEnvIf, SetEnvIfNoCase, BrowserMatch.

    :ivar attribute: ``Remote_Addr``, ``Request_URI`` ..., or a header field's name, as written.
    :ivar names: header fields' names as an expression; ``None`` when ``attribute`` is one.
    :ivar pattern: what the value is searched for.
    :ivar plain: whether that is text without an expression's signs: then values
        are taken as they are, else ``$1`` to ``$9`` are replaced.
    :ivar changes: what happens on a match, in order.
    :ivar place: the line's file and number.
    """

    attribute: bytes
    names: Pattern | None
    pattern: Pattern
    plain: bool
    changes: tuple[VariableChange, ...]
    place: str = field(default="", compare=False)


@dataclass(frozen=True)
class VariableExpression:
    """
    SetEnvIfExpr.

    :ivar text: the condition, as written.
    :ivar condition: the same, compiled (:data:`twisted_fcgi.expr.Condition`).
    :ivar changes: what happens when it is true, in order.
    :ivar place: the line's file and number.
    """

    text: str
    condition: Callable[[Any], bool] = field(compare=False)
    changes: tuple[VariableChange, ...] = ()
    place: str = field(default="", compare=False)


@dataclass(frozen=True)
class VariableOverride:
    """
    ProxyFCGISetEnvIf.

    :ivar text: the line's arguments, as written; two lines are equal when these are.
    :ivar condition: the compiled condition (:data:`twisted_fcgi.expr.Condition`).
    :ivar name: of the variable.
    :ivar value: the compiled value (:data:`twisted_fcgi.expr.Word`), or ``None`` to
        remove the variable.
    :ivar place: the line's file and number, for the log.
    """

    text: tuple[str, ...]
    condition: Callable[[Any], bool] = field(compare=False)
    name: bytes = b""
    value: Callable[[Any], bytes] | None = field(default=None, compare=False)
    place: str = field(default="", compare=False)
