"""
What a proxied request costs: twisted_fcgi beside Apache httpd, nginx and HAProxy.

``python -m bench`` (or ``make bench``) starts each proxy in front of a FastCGI responder,
lets each do the same work in turns, reads the cost from ``/proc`` and writes ``README.rst``
and ``chart.svg`` here.  The modules, bottom up: ``programs`` (responder.c, loader.c, h2load),
``measure`` (/proc), ``proxies`` and who is one (``httpd``, ``eventdriven``, ``sites``),
``scenarios``, ``turns``, ``report`` and ``chart``.
"""
