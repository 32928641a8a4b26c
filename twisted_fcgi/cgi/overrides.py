"""
ProxyFCGISetEnvIf: the configuration's last word on an application's variables.

The lines run in their order, over the variables as they would be sent, so that a
later one sees what an earlier one did.  A condition that reads a request header
makes the response vary with it (RFC 9110, 12.5.5); a value that does, does not, as
in httpd.
"""

from __future__ import annotations

from twisted_fcgi.errors import RequestError
from twisted_fcgi.expr import EvaluationError, RequestContext, spelled, valueOf
from twisted_fcgi.message import Request, Route
from twisted_fcgi.settings import VariableOverride

__all__ = ["VariablesContext", "override"]


class VariablesContext(RequestContext):
    """
    What an expression sees of a request whose variables are made.

    :param table: the application's variables.
    """

    def __init__(self, request: Request, route: Route, table: dict[bytes, bytes]) -> None:
        super().__init__(request, route)
        self._table = table

    def variable(self, name: bytes) -> bytes | None:
        known = super().variable(name)
        return self._table.get(name) if known is None else known

    def environment(self, name: bytes) -> bytes | None:
        return valueOf(self._table, name)


def override(
    table: dict[bytes, bytes],
    overrides: tuple[VariableOverride, ...],
    request: Request,
    route: Route,
) -> list[bytes]:
    """
    Set and remove variables, in place.

    :returns: the names of the request headers that conditions read.
    :raises RequestError: 503 when a condition can't be evaluated, as in httpd.
    """
    context = VariablesContext(request, route, table)
    for line in overrides:
        # $1 is of this line's condition, never of another line's.
        context.match = None
        try:
            if not line.condition(context):
                continue
            read = list(context.vary)
            value = None if line.value is None else line.value(context)
            context.vary = read
        except EvaluationError as error:
            raise RequestError(f"ProxyFCGISetEnvIf at {line.place}: {error}", 503) from None
        name = spelled(table, line.name)
        if value is None:
            if name is not None:
                del table[name]
        else:
            table[line.name if name is None else name] = value
    return context.vary
