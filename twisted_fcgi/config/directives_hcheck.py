"""Directives of mod_proxy_hcheck: what the checks of several members have in common."""

from __future__ import annotations

from twisted_fcgi.config import expressions
from twisted_fcgi.config.parameters import CHECK
from twisted_fcgi.config.registry import Context, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.values import keyValues
from twisted_fcgi.config.words import Word, getWord
from twisted_fcgi.settings import CheckExpression

__all__ = ["rows"]

rows = Rows("mod_proxy_hcheck")

rows.ignore("ProxyHCTPsize", "no thread is needed for a check; 16 go on at a time")

#: httpd's bound of an expression's name.
MAX_NAME = 15


@rows.directive(
    "ProxyHCExpr",
    Shape.WORDS,
    Context.ANYWHERE,
    syntax="name {expression}",
    example="ProxyHCExpr up {%{REQUEST_STATUS} =~ /^[23]/ && hc('body') !~ /maintenance/}",
)
def proxyHcExpr(scope: Scope, words: list[Word]) -> None:
    """
    Names what the answer to a health check has to be, for ``hcexpr``.

    The expression sees the answer: ``%{REQUEST_STATUS}``, its fields as
    ``%{resp:Content-Type}``, and with ``hcmethod=GET`` the first 64 KiB of its body as
    ``%{hc:body}``.  It takes the place of the rule that a status from 200 to 399 passes.
    """
    node = scope.node
    name, at = getWord(node.line, node.at, node.end)
    if not name:
        raise scope.error("ProxyHCExpr needs a name and an expression", "name {expression}")
    if len(name) > MAX_NAME:
        raise name.error("the name is too long", f"at most {MAX_NAME} characters")
    if node.line.text[at : at + 1] == "{":
        expression, at = _braced(scope, at)
    else:
        expression, at = getWord(node.line, at, node.end)
    if not expression:
        raise scope.error(f"ProxyHCExpr {name} needs an expression", "name {expression}")
    more, _ = getWord(node.line, at, node.end)
    if more:
        raise more.error("something is left over behind the expression", "name {expression}")
    scope.server.checks.expressions[name.lower()] = CheckExpression(
        str(name), str(expression), expressions.condition(expression)
    )


def _braced(scope: Scope, at: int) -> tuple[Word, int]:
    """An expression between braces (``ap_getword_conf2``), and where it ends."""
    line, end = scope.node.line, scope.node.end
    text = line.text
    depth, close = 1, at + 1
    while close < end:
        if text.startswith("\\\\", close):
            close += 1
        elif text[close] in "{}":
            depth += 1 if text[close] == "{" else -1
            if not depth:
                break
        close += 1
    close = min(close, end)
    expression = text[at + 1 : close].replace("\\\\", "\\")
    return Word.make(expression, line, at + 1, close), close + 1


@rows.directive(
    "ProxyHCTemplate",
    Shape.WORDS,
    Context.ANYWHERE,
    syntax="name key=value ...",
    example="ProxyHCTemplate ping hcmethod=GET hcuri=/ping hcinterval=5 hcfails=2\n"
    '<Proxy "balancer://app">\n'
    '    BalancerMember "fcgi://192.0.2.1:9000" hctemplate=ping\n'
    '    BalancerMember "fcgi://192.0.2.2:9000" hctemplate=ping\n'
    "</Proxy>",
)
def proxyHcTemplate(scope: Scope, words: list[Word]) -> None:
    """
    Names parameters of health checks, for ``hctemplate``.

    What it does not say has its default, and ``hcmethod`` is TCP.
    """
    if not words or not words[0]:
        raise scope.error("ProxyHCTemplate needs a name and parameters", "name hcmethod=TCP")
    scope.server.checks.define(words[0], scope.parameters(CHECK, keyValues(words[1:])))
