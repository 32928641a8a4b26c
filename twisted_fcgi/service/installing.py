"""
A process of twistd's, with no more than its configuration needs.

What reads the configuration is a third of what is ours.  It is forgotten before what serves
is imported, which then takes its place: 1.4 MB.

Whatever imports a reactor of Twisted's has pyOpenSSL loaded, if it is installed: 12 MB and
a sixth of the time of a start.  A process of twistd's that speaks TLS to nobody can do
without, and then Twisted is what it is where pyOpenSSL is not installed.

Limits: who goes on holding a function that reads has all of it kept; and the reactor has
to come before anything else that imports it or endpoints, so ``twistd --reactor`` has all
of pyOpenSSL loaded.
"""

from __future__ import annotations

import gc
import sys

import twisted_fcgi
from twisted_fcgi.settings import Settings

__all__ = ["forgetLanguage", "installReactor", "speaksTLS"]

#: Kinds of endpoints that are known to speak none.
_PLAIN = ("tcp:", "tcp6:", "unix:", "systemd:", "fd:")


#: The package that reads configurations.
_LANGUAGE = "twisted_fcgi.config"


def forgetLanguage(settings: Settings) -> None:
    """
    Forget what reads configurations, unless there are ``.htaccess`` files to be read.

    Who imports it again gets it again.

    :param settings: all that this process is for.
    """
    if any(host.readAccessFile for host in (settings.main, *settings.hosts)):
        return
    for name in [*sys.modules]:
        if name == _LANGUAGE or name.startswith(f"{_LANGUAGE}."):
            del sys.modules[name]
    vars(twisted_fcgi).pop("config", None)
    gc.collect()  # functions and their modules refer to each other


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
