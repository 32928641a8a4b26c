"""What the configuration changes in header fields: Header, RequestHeader."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted_fcgi.pcre import Pattern

__all__ = ["FieldAction", "FieldChange", "FieldTable"]


class FieldAction(enum.Enum):
    """What is done to a field; httpd's words."""

    SET = "set"
    APPEND = "append"
    MERGE = "merge"
    ADD = "add"
    UNSET = "unset"
    ECHO = "echo"
    EDIT = "edit"
    EDIT_ALL = "edit*"
    NOTE = "note"
    SET_IF_EMPTY = "setifempty"


class FieldTable(enum.Enum):
    """Whose fields are changed: a request's, or one of the two tables of a response."""

    REQUEST = "request"
    ALWAYS = "always"
    ON_SUCCESS = "onsuccess"


@dataclass(frozen=True)
class FieldChange:
    """
    A line of Header or RequestHeader.

    :ivar text: the line's arguments, as written; two lines are equal when these are.
    :ivar name: the field's, without a colon.
    :ivar pattern: of ``echo`` and ``edit``.
    :ivar constant: the value, when no request takes part in it.
    :ivar value: makes the value (:data:`twisted_fcgi.expr.Word`); ``None`` where there is none.
    :ivar condition: whether it is done (:data:`twisted_fcgi.expr.Condition`); ``None`` for
        each time.
    :ivar place: the line's file and number.
    """

    text: tuple[str, ...]
    table: FieldTable
    action: FieldAction
    name: bytes
    pattern: Pattern | None = None
    constant: bytes | None = None
    value: Callable[[Any], bytes] | None = field(default=None, compare=False)
    condition: Callable[[Any], bool] | None = field(default=None, compare=False)
    place: str = field(default="", compare=False)
