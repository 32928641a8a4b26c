"""
``<If>``, ``<ElseIf>`` and ``<Else>``: sections that a condition chooses.

They may stand wherever per-directory settings may, also in each other, but not in
``<Limit>`` or a block of Require.
"""

from __future__ import annotations

from twisted_fcgi.config.drafts import BranchDraft, SectionDraft
from twisted_fcgi.config.expressions import condition
from twisted_fcgi.config.registry import Context, Override, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.words import Word
from twisted_fcgi.settings import SectionKind

__all__ = ["rows"]

rows = Rows("core")


def branch(name: str, conditional: bool, otherwise: bool, example: str, doc: str) -> None:
    """A row of the family."""

    def apply(scope: Scope, words: list[Word]) -> Scope:
        if len(words) > conditional:
            what = "one argument, in quotes" if conditional else "no argument"
            raise words[conditional].error(f"{name}> takes {what}")
        branches = scope.section.branches
        if otherwise and (not branches or branches[-1].condition is None):
            raise scope.error(
                f"{name}> without an <If> or <ElseIf> before it, in what is around both",
                "<If condition>",
            )
        text = str(words[0]) if conditional else None
        compiled = condition(words[0]) if conditional else None
        section = SectionDraft(SectionKind.IF, word=words[0] if conditional else scope.node.name)
        branches.append(BranchDraft(text, compiled, otherwise, section))
        return scope.inside(Context.FILES, section)

    rows.directive(
        name,
        Shape.WORDS,
        Context.ANYWHERE,
        syntax="condition" if conditional else "",
        example=example,
        doc=doc,
        inside=Context.FILES,
        override=Override.ANY,
    )(apply)


branch(
    "<If",
    True,
    False,
    "<If \"%{REQUEST_METHOD} == 'POST' && ! -n req('Origin')\">\n    Require all denied\n</If>",
    "Holds for requests for which a condition is true.\n\n"
    "It comes after all other sections, ``<Location>`` too, wherever it stands; an ``<If>`` in\n"
    "an ``<If>`` after that one.  A condition that can't be evaluated is false.",
)
branch(
    "<ElseIf",
    True,
    True,
    "<If \"%{HTTP_HOST} == 'a.example.org'\">\n    SetEnv SITE a\n</If>\n"
    "<ElseIf \"%{HTTP_HOST} == 'b.example.org'\">\n    SetEnv SITE b\n</ElseIf>",
    "Holds where its condition is true, and none of those before it is.",
)
branch(
    "<Else",
    False,
    True,
    "<If \"%{HTTP_HOST} == 'a.example.org'\">\n    SetEnv SITE a\n</If>\n"
    "<Else>\n    SetEnv SITE other\n</Else>",
    "Holds where none of the conditions before it is true.",
)
