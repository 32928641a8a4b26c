"""
``twistd fcgiproxy``: its options, and what is made of them.

Whatever the options are, they become a configuration: of a file, or a text that
``--print-config`` shows.  It is read, and every mistake in it reported, before
twistd does anything else.

What serves is imported when that is known, and what reads is imported by functions only, so
that it can be forgotten then: see :mod:`~twisted_fcgi.service.installing`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from twisted_fcgi import versionText
from twisted_fcgi.config.scope import TLS_HINT, TLS_MODULES
from twisted_fcgi.errors import ConfigurationError, ConfigurationErrors
from twisted_fcgi.service.installing import forgetLanguage, installReactor
from twisted_fcgi.service.process import (
    becomeUser,
    effectiveUser,
    hazardOfRoot,
    settleMemory,
)
from twisted_fcgi.settings import Settings

if TYPE_CHECKING:
    from twisted.application.service import IService

__all__ = ["DEFAULT_LISTEN", "Options", "makeService"]

#: Where the short forms listen, unless told: nobody else's business yet.
DEFAULT_LISTEN = "127.0.0.1:8080"

#: What errors call a configuration that was made of options.
COMMAND_LINE = "<command line>"


class Options(UsageOptions):
    """
    The options.

    :ivar settings: the configuration, once they were parsed.
    :ivar hazards: what it allows that may not be meant.
    :ivar demoSocket: where the demo's application listens, or ``None``.
    """

    synopsis = "{--config FILE | --root DIR --fastcgi ADDRESS | --demo} [...]"
    longdesc = (
        "Serves FastCGI applications, as a configuration in Apache httpd's language says. "
        "Mistakes in it are shown, all of them, and nothing is started."
    )
    optParameters = [
        ["config", "c", None, "The configuration file."],
        ["root", None, None, f"Instead of a file: a PHP site's directory, at {DEFAULT_LISTEN}."],
        ["fastcgi", None, None, "Who runs its scripts: host:port or unix:/path."],
    ]
    optFlags = [
        ["demo", None, f"Instead of a file: the embedded demo application, at {DEFAULT_LISTEN}."],
        ["check", None, "Say what is wrong with the configuration, or Syntax OK, and end."],
        ["print-config", None, "Show what the short options stand for, and end."],
    ]

    settings: Settings
    hazards: tuple[str, ...]

    def __init__(self) -> None:
        super().__init__()
        self["define"] = []
        self["listen"] = []
        self.demoSocket: str | None = None

    def opt_version(self) -> None:
        """Show the version, and end."""
        print(f"twisted_fcgi {versionText()}")
        raise SystemExit(0)

    def opt_define(self, name: str) -> None:
        """As httpd's -D: a name that <IfDefine> asks for, or NAME=VALUE.  May be repeated."""
        self["define"].append(name)

    def opt_listen(self, endpoint: str) -> None:
        """Where to listen, for Listen: port, address:port or endpoint.  May be repeated."""
        self["listen"].append(endpoint)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Parse, and read the configuration.

        :raises SystemExit: when something is wrong, or nothing else is to be done.
        """
        try:
            super().parseOptions(options)
        except ConfigurationErrors as errors:
            count = len(errors.errors)
            mistakes = "1 mistake" if count == 1 else f"{count} mistakes"
            _fail(f"{errors}\n{mistakes} in the configuration; nothing was started")
        except UsageError as error:
            # twistd's own way is to print all of its help, and to exit with status 0.
            _fail(f"twistd fcgiproxy: {error}; see twistd fcgiproxy --help")

    def postOptions(self) -> None:
        """
        Read the configuration.

        :raises UsageError: when the options do not go together.
        :raises ConfigurationErrors: with everything that is wrong.
        """
        settings = self.settings = self._read()
        if self.parent is not None:  # the process is twistd's, and for nothing else
            forgetLanguage(settings)
            installReactor(settings)
        self._checkListeners(settings)
        if self["check"]:
            for notice in (*settings.notices, *self.hazards):
                print(notice, file=sys.stderr)
            print("Syntax OK")
            raise SystemExit(0)

    def _read(self) -> Settings:
        """
        What :meth:`postOptions` says, but where to listen.

        :returns: the settings.
        """
        from twisted_fcgi import config
        from twisted_fcgi.config.shorthand import listenLine

        try:
            text = self._text()
            listen = "\n".join(map(listenLine, self["listen"]))
        except ValueError as error:
            raise UsageError(str(error)) from None
        if self["print-config"]:
            if text is None:
                raise UsageError("--print-config shows what options stand for; --config is a file")
            print(text, end="")
            raise SystemExit(0)
        if text is None:
            settings = config.load(self["config"], self["define"])
            if listen:
                listeners = config.loads(listen, "--listen").listeners
                settings = replace(settings, listeners=listeners)
        else:
            settings = config.loads(text, COMMAND_LINE, self["define"])
        self.hazards = config.hazards(settings)
        return settings

    def _text(self) -> str | None:
        """
        The configuration that the short options stand for; ``None`` for a file's.

        :raises UsageError: when they do not go together.
        :raises ValueError: when one can't be understood.
        """
        ways = [name for name in ("config", "root", "demo") if self[name]]
        if len(ways) != 1:
            needed = "only one of" if ways else "one of"
            missing = "can be given" if ways else "is needed"
            raise UsageError(f"{needed} --config, --root (with --fastcgi) and --demo {missing}")
        if bool(self["root"]) != bool(self["fastcgi"]):
            raise UsageError("--root and --fastcgi go together")
        listen = self["listen"] or [DEFAULT_LISTEN]
        if self["demo"]:
            from twisted_fcgi.service.demo import demoText, makeSocketPath

            self.demoSocket = makeSocketPath()
            return demoText(self.demoSocket, listen)
        if self["root"]:
            from twisted_fcgi.config.shorthand import siteText

            return siteText(self["root"], self["fastcgi"], listen)
        return None

    def _checkListeners(self, settings: Settings) -> None:
        from twisted.internet import reactor
        from twisted.internet.endpoints import serverFromString

        errors = []
        if not settings.listeners:
            errors.append(ConfigurationError("nowhere to listen", hint="Listen 127.0.0.1:8080"))
        for listener in settings.listeners:
            try:
                serverFromString(reactor, listener.endpoint)
            except Exception as error:  # whatever a plugin, or a certificate, may raise
                reason = str(error) or type(error).__name__
                message = f"can't listen at {listener.endpoint}: {reason}"
                lacking = (getattr(error, "name", None) or "").partition(".")[0] in TLS_MODULES
                errors.append(ConfigurationError(message, hint=TLS_HINT if lacking else ""))
        if errors:
            raise ConfigurationErrors(errors)


def _fail(reason: str) -> NoReturn:
    print(reason, file=sys.stderr)
    raise SystemExit(1)


def makeService(options: Options) -> IService:
    """
    The service that twistd runs.

    :param options: parsed ones.
    :raises SystemExit: when the ErrorLog can't be opened, or there is no such User.
    """
    from twisted.internet import reactor

    from twisted_fcgi.service.live import FastCGIService

    twistd = getattr(options, "parent", None)
    notices = [*options.hazards]
    if twistd is not None:
        try:
            becomeUser(options.settings, twistd, effectiveUser())
        except ConfigurationErrors as errors:
            _fail(f"{errors}\nnothing was started")
        if hazard := hazardOfRoot(twistd, effectiveUser()):
            notices.append(hazard)
    applications = []
    if options.demoSocket:
        from twisted_fcgi.service.demo import DemoService

        applications.append(DemoService(options.demoSocket, reactor))
    try:
        service = FastCGIService(options.settings, reactor, applications, notices)
    except OSError as error:
        _fail(f"twistd fcgiproxy: ErrorLog {error.filename}: {error.strerror}")
    if twistd is not None:
        settleMemory()
    return service
