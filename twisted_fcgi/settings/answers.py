"""What is answered in place of an application: ErrorDocument and its like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ErrorDocument"]


@dataclass(frozen=True)
class ErrorDocument:
    """
    ErrorDocument: what a status is answered with.

    :ivar written: the text or URL, as written; ``None`` for our own page (``default``).
    :ivar isText: whether it is a text, not a local path or a URL.
    :ivar made: the same, compiled (:data:`twisted_fcgi.expr.Word`).
    :ivar place: the line's file and number.
    """

    written: str | None
    isText: bool = True
    made: Callable[[Any], bytes] | None = field(default=None, compare=False)
    place: str = field(default="", compare=False)
