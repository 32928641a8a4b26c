"""
Health checks while a configuration is read: what ProxyHCTemplate and ProxyHCExpr name.

As in httpd a name has to be described before it is used, whatever its case, and of equal
ones the first template counts and the last expression.  Other than there, a virtual host
knows those of the main server, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from twisted_fcgi.config.parameters import Given
from twisted_fcgi.config.words import Word
from twisted_fcgi.settings import CheckExpression, CheckMethod, CheckSettings

__all__ = ["Checks", "changed"]

#: What a template is that says nothing, as in httpd.
TEMPLATE = CheckSettings(method=CheckMethod.TCP)


class Checks:
    """
    Those of one server.

    :ivar templates: by name in lower case.
    :ivar expressions: likewise.
    """

    def __init__(self) -> None:
        self.templates: dict[str, CheckSettings] = {}
        self.expressions: dict[str, CheckExpression] = {}

    def define(self, name: Word, given: Iterable[Given]) -> None:
        """Add a template."""
        template = TEMPLATE
        for row, value, _ in given:
            template = changed(template, row.sets, value)
        self.templates.setdefault(name.lower(), template)

    def resolve(self, given: Iterable[Given], main: Checks) -> Iterator[Given]:
        """
        Put what names stand for in their place.

        :param main: those of the main server.
        :raises ConfigurationError: when there is no such name yet.
        """
        for row, value, text in given:
            known: dict[str, CheckSettings] | dict[str, CheckExpression]
            if row.sets == "check":
                what, known = "ProxyHCTemplate", {**main.templates, **self.templates}
            elif row.sets == "check.expression":
                what, known = "ProxyHCExpr", {**main.expressions, **self.expressions}
            else:
                yield Given(row, value, text)
                continue
            if value.lower() not in known:
                raise value.error(
                    f"there is no {what} {text!r} yet", "it has to be described before it is used"
                )
            yield Given(row, known[value.lower()], text)


def changed(check: CheckSettings, name: str, value: Any) -> CheckSettings:
    """
    How a member is checked, with one parameter more.

    :param name: what the parameter sets: ``check`` is all of it, ``check.uri`` a field.
    """
    field = name.partition(".")[2]
    result: CheckSettings = replace(check, **{field: value}) if field else value
    return result
