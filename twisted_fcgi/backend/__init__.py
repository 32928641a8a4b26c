"""
Connections to FastCGI applications.

Read :mod:`~twisted_fcgi.backend.member` first: it is what a gateway talks to.
Below it, in this order: :mod:`~twisted_fcgi.backend.pool` decides which
connection a request gets, :mod:`~twisted_fcgi.backend.protocol` is one
connection, :mod:`~twisted_fcgi.backend.stream` one request on it.
"""
