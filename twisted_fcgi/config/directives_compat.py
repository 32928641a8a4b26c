"""Directives of mod_access_compat, which preceded Require: each is refused with its new form."""

from __future__ import annotations

import re

from twisted_fcgi.config.directives_access import accessOf
from twisted_fcgi.config.registry import Context, Override, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.words import Word

__all__ = ["rows"]

rows = Rows("mod_access_compat")


def replaced(name: str, valid: str, syntax: str, example: str) -> None:
    """A row for a directive of mod_access_compat."""

    def apply(scope: Scope, words: list[Word]) -> None:
        text = " ".join(words).lower()
        if not re.fullmatch(valid, text):
            raise scope.error(f"{name} takes {syntax}, and was replaced by Require in httpd 2.4")
        accessOf(scope).old.append((scope.node.name, words))

    rows.directive(
        name,
        Shape.WORDS,
        Context.SECTIONS,
        syntax=syntax,
        example=example,
        doc="Refused: it was replaced by Require in httpd 2.4; the error says by which lines.",
        override=Override.LIMIT | Override.AUTH_CONFIG,
    )(apply)


replaced(
    "Order",
    "deny,allow|allow,deny|mutual-failure",
    "deny,allow|allow,deny|mutual-failure",
    '# "Order deny,allow" with "Deny from all" is today:\n'
    '<Location "/">\n    Require all denied\n</Location>',
)
replaced(
    "Allow",
    "from .+",
    "from all|address|name|env=variable ...",
    '# "Order deny,allow" with "Deny from all" and "Allow from 10.1" is today:\n'
    '<Location "/">\n    Require ip 10.1\n</Location>',
)
replaced(
    "Deny",
    "from .+",
    "from all|address|name|env=variable ...",
    '# "Order allow,deny" with "Allow from all" and "Deny from 10.1" is today:\n'
    '<Location "/">\n    <RequireAll>\n        Require all granted\n'
    "        Require not ip 10.1\n    </RequireAll>\n</Location>",
)
replaced(
    "Satisfy",
    "any|all",
    "Any|All",
    '# "Satisfy Any" is a block today:\n'
    '<Location "/">\n    <RequireAny>\n        Require ip 10.1\n        Require env trusted\n'
    "    </RequireAny>\n</Location>",
)
