"""
Real FastCGI servers for the tests, and our own proxy as a process.

Each peer runs in a private directory, listens on a UNIX socket or a free port of
127.0.0.1 and ends with its test session.  All of them serve the same application
(``programs/``: in C for libfcgi and CGI, in Python for WSGI, in PHP), which does
what the field ``do`` of the query string says:

======================== ===============================================================
``env``                  its variables, a JSON line ``["name", "value"]`` each
``count``                ``LENGTH CRC32`` of the request's body
``stream&bytes=N``       N bytes of :data:`~tests.peers.client.BLOCK`, over and over
``stderr&text=T``        writes T to stderr
``exit``                 says ``Content-Length: 100000``, sends 1000, and is killed
``events&count=N&gates`` N server-sent events, number n > 0 when ``gates/n`` is there
``meet&count=N&place&name``
                         makes ``place/name``, waits for ``place/0`` to ``place/N-1``
``forever&marker``       writes until it can't any more, then makes ``marker``
======================== ===============================================================

Modules, bottom up: ``process`` (start, readiness, end, log), ``php``, ``python``,
``c`` (the peers), ``tls`` (before them), ``dns``, ``proxy``, ``client``, ``fixtures`` (for
pytest).
"""
