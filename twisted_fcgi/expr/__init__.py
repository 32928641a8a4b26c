"""
httpd's expression language (``ap_expr``): conditions, and texts with variables.

Pure: an expression is compiled once, to a function of a :class:`Context`.
"""

from twisted_fcgi.expr.context import (
    Condition,
    Context,
    EvaluationError,
    MatchGivenUp,
    Operand,
    Word,
    fileStatus,
)
from twisted_fcgi.expr.formats import compileFormat
from twisted_fcgi.expr.lexer import ExpressionError
from twisted_fcgi.expr.parser import compileCondition, compileString
from twisted_fcgi.expr.request import RequestContext, RequestState, evaluate, spelled, valueOf

__all__ = [
    "Condition",
    "Context",
    "EvaluationError",
    "ExpressionError",
    "MatchGivenUp",
    "Operand",
    "RequestContext",
    "RequestState",
    "Word",
    "compileCondition",
    "compileFormat",
    "compileString",
    "evaluate",
    "fileStatus",
    "spelled",
    "valueOf",
]
