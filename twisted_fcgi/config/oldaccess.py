"""
Order, Allow, Deny and Satisfy (mod_access_compat) in the words of Require.

They are refused: what they mean depends on the order in which two lists are looked at,
and not on that of the lines, which many a site was opened by.  The error says how
exactly these lines are written today.
"""

from __future__ import annotations

import re

from twisted_fcgi.config.words import Word
from twisted_fcgi.errors import ConfigurationError

__all__ = ["modernised", "newForm"]

#: What is an address or the begin of one, not a name.
_ADDRESS = re.compile(r"[0-9.]+(?:/[0-9.]+)?|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:/[0-9]+)?", re.ASCII)

_ALL = ["Require all granted"]
_NONE = ["Require all denied"]


def modernised(lines: list[tuple[Word, list[Word]]]) -> ConfigurationError:
    """
    The error about the lines of a section.

    :param lines: each with its name and the words behind it.
    """
    return lines[0][0].error(
        "Order, Allow, Deny and Satisfy were replaced by Require in httpd 2.4",
        "in place of these lines: " + "; ".join(newForm(lines)),
    )


def newForm(lines: list[tuple[Word, list[Word]]]) -> list[str]:
    """The lines that mean the same as those of a section."""
    order = "deny,allow"
    allowed: list[str] = []
    denied: list[str] = []
    anything = False
    for name, words in lines:
        known = name.lower()
        if known == "order" and words:
            order = words[0].lower()
        elif known == "satisfy" and words:
            anything = words[0].lower() == "any"
        elif known in ("allow", "deny"):
            (allowed if known == "allow" else denied).extend(map(str, words[1:]))
    form: list[str] = []
    if any(name.lower() != "satisfy" for name, _ in lines):
        form = (_denyFirst if order == "deny,allow" else _allowFirst)(allowed, denied)
    if anything:
        return ["<RequireAny>", *form, "(and the other Require lines)", "</RequireAny>"]
    return form or ["nothing: all is what has to be satisfied anyway"]


def _denyFirst(allowed: list[str], denied: list[str]) -> list[str]:
    """Order deny,allow: everybody who is allowed or not denied."""
    if not denied or _isAll(allowed):
        return _ALL
    if _isAll(denied):
        return _required(allowed) or _NONE
    but = ["<RequireAll>", *_ALL, *_required(denied, "not "), "</RequireAll>"]
    return ["<RequireAny>", *_required(allowed), *but, "</RequireAny>"] if allowed else but


def _allowFirst(allowed: list[str], denied: list[str]) -> list[str]:
    """Order allow,deny: everybody who is allowed and not denied."""
    if not allowed or _isAll(denied):
        return _NONE
    some = _ALL if _isAll(allowed) else _required(allowed)
    if not denied:
        return some
    if len(some) > 1:
        some = ["<RequireAny>", *some, "</RequireAny>"]
    return ["<RequireAll>", *some, *_required(denied, "not "), "</RequireAll>"]


def _isAll(whom: list[str]) -> bool:
    return "all" in map(str.lower, whom)


def _required(whom: list[str], negation: str = "") -> list[str]:
    """The Require lines for what stood behind ``from``, addresses and names together."""
    together: dict[str, list[str]] = {}
    for one in whom:
        lower = one.lower()
        if lower.startswith("env=!"):
            together.setdefault("expr", []).append(f"-z reqenv('{one[5:]}')")
        elif lower.startswith("env="):
            together.setdefault("env", []).append(one[4:])
        else:
            together.setdefault("ip" if _ADDRESS.fullmatch(one) else "host", []).append(one)
    return [
        f"Require {negation}{kind} {words}"
        for kind, group in together.items()
        for words in (group if kind == "expr" else [" ".join(group)])
    ]
