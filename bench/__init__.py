"""
What a proxied request costs: twisted_fcgi beside Apache httpd, nginx and HAProxy.

``python -m bench`` (or ``make bench``) starts each proxy in front of the same
FastCGI responder, lets each do the same work in turns, reads the cost from
``/proc`` and writes ``README.rst`` and ``chart.svg`` here.  The modules, bottom up:
``programs`` (responder.c and loader.c), ``measure`` (/proc), ``proxies``,
``scenarios``, ``report``.
"""
