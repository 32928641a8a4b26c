"""
The reactor, with no more than a configuration needs.

Whatever imports a reactor of Twisted's has pyOpenSSL loaded, if it is installed: 12 MB and
a sixth of the time of a start.  A process of twistd's that speaks TLS to nobody can do
without, and then Twisted is what it is where pyOpenSSL is not installed.

Limit: it has to come before anything else that imports the reactor or endpoints, so
``twistd --reactor`` has it all loaded.
"""

from __future__ import annotations

import sys

from twisted_fcgi.settings import Settings

__all__ = ["installReactor", "speaksTLS"]

#: Kinds of endpoints that are known to speak none.
_PLAIN = ("tcp:", "tcp6:", "unix:", "systemd:", "fd:")


def speaksTLS(settings: Settings) -> bool:
    """Whether a configuration may ask for TLS, to clients or to members."""
    return any(member.tls for member in settings.members) or not all(
        listener.endpoint.startswith(_PLAIN) for listener in settings.listeners
    )


def installReactor(settings: Settings) -> None:
    """
    Install the reactor, unless there is one.

    :param settings: all that this process is for.
    """
    spared = not speaksTLS(settings) and sys.modules.keys().isdisjoint(
        ("OpenSSL", "twisted.internet.reactor")
    )
    if spared:
        sys.modules["OpenSSL"] = None  # type: ignore[assignment]  # to import: not there
    try:
        import twisted.internet.endpoints
        import twisted.internet.reactor  # noqa: F401
    finally:
        if spared:
            del sys.modules["OpenSSL"]
