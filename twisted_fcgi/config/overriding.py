"""
What a ``.htaccess`` may say: some directives, and some applications.

Whoever can write one is not who wrote the configuration.  Only directives with an
``override`` in their row can stand in it, and only when AllowOverride names that
kind; what acts on the process or on other files (Include, Define) never can.  An
application has to be one that the configuration of its virtual host names, or a
``.htaccess`` would reach every port and every socket that the gateway reaches
(httpd lets it; CVE-2021-40438 is the same door).
"""

from __future__ import annotations

from twisted_fcgi.config.registry import Directive
from twisted_fcgi.config.serving import SocketAddress
from twisted_fcgi.config.targets import Target
from twisted_fcgi.config.words import Word
from twisted_fcgi.settings import AllowOverride, VirtualHost

__all__ = ["OPTIONS", "Overriding"]

#: The words of ``Options``, and what each lets be set.
OPTIONS = {
    "indexes": {"indexes"},
    "includes": {"includes", "includesnoexec"},
    "includesnoexec": {"includesnoexec"},
    "followsymlinks": {"followsymlinks"},
    "symlinksifownermatch": {"symlinksifownermatch"},
    "execcgi": {"execcgi"},
    "multiviews": {"multiviews"},
    "runscripts": {"multiviews", "execcgi"},
    "none": set[str](),
    "all": {"indexes", "includes", "includesnoexec", "followsymlinks", "execcgi"},
}


class Overriding:
    """
    What holds for one ``.htaccess``.

    :param host: the virtual host that it belongs to.
    :param allow: AllowOverride.
    :param directives: AllowOverrideList, in lower case.
    :param addresses: of the applications that the virtual host's configuration names.
    """

    def __init__(
        self,
        host: VirtualHost,
        allow: AllowOverride,
        directives: frozenset[str],
        addresses: frozenset[SocketAddress],
    ) -> None:
        self.allow = allow
        self._host = host
        self._addresses = addresses
        self._directives = directives

    def permits(self, row: Directive) -> bool:
        """Whether a directive may stand here."""
        if row.override is not None and row.override & self.allow.kinds:
            return True
        return row.name.lower() in self._directives

    def permitsOption(self, name: str) -> bool:
        """Whether an option of ``Options``, in lower case, may be set here."""
        return self.allow.options is None or OPTIONS[name] <= self.allow.options

    def forbidden(self, row: Directive, name: Word) -> str:
        """
        A notice about a directive that may not.

        :raises ConfigurationError: unless it is to be passed over.
        """
        title = f"{row.name}>" if row.section else row.name
        error = name.error(f"{title} is not allowed here", _hint(row))
        if not self.allow.skipsForbidden:
            raise error
        return f"{error.file}:{error.line}:{error.column}: {error.message}"

    def checkProxy(self, url: Word, target: Target | None, balancer: str | None) -> None:
        """
        Hold a ``proxy:`` URL to the applications of the virtual host.

        :raises ConfigurationError: when it names another one.
        """
        if self._host.allowOverrideProxy:
            return
        if target is None:
            known = balancer in {known.name for known in self._host.balancers}
        else:
            place = target.socket or (target.host, target.port)
            known = (place, target.scheme == "fcgis") in self._addresses
        if not known:
            raise url.error(
                f"the configuration of {self._host.name} names no application {str(url)!r}",
                "a .htaccess can only name those that it does; see AllowOverrideProxy",
            )


def _hint(row: Directive) -> str:
    if row.override is None:
        return "it may not stand in a .htaccess"
    return f"AllowOverride has to say: {row.override.describe()}"
