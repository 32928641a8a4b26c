"""``twistd fcgiproxy``; named only, so that ``twistd --help`` imports nothing of it."""

from __future__ import annotations

from twisted.application.service import ServiceMaker

__all__ = ["fcgiproxy"]

fcgiproxy = ServiceMaker(
    "FastCGI gateway",
    "twisted_fcgi.service.options",
    "FastCGI applications (PHP-FPM ...) on the web, configured in Apache httpd's language",
    "fcgiproxy",
)
