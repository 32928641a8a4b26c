"""
httpd's expression language (``ap_expr``): conditions, and texts with variables.

Pure: an expression is compiled once, to a function of a :class:`Context`.  What compiles is
imported by who has one, from :mod:`~twisted_fcgi.expr.parser` and
:mod:`~twisted_fcgi.expr.formats`: a third of a MB.
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
from twisted_fcgi.expr.request import RequestContext, RequestState, evaluate, spelled, valueOf

__all__ = [
    "Condition",
    "Context",
    "EvaluationError",
    "MatchGivenUp",
    "Operand",
    "RequestContext",
    "RequestState",
    "Word",
    "evaluate",
    "fileStatus",
    "spelled",
    "valueOf",
]
