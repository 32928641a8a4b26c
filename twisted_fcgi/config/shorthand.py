"""
The configuration that the short command-line options stand for.

Text, not settings: what ``--print-config`` shows is what is served.
"""

from __future__ import annotations

import os.path
import re

from twisted_fcgi.config.values import addressPort, isEndpoint

__all__ = ["fastcgiUrl", "listenLine", "siteText"]


def fastcgiUrl(address: str) -> str:
    """
    The URL of an application server.

    :param address: ``host:port``, ``unix:/path``, ``/path`` or ``fcgi://host:port``.
    :raises ValueError: when it is none of these.
    """
    if address.lower().startswith("fcgi://") or re.match("unix:[^|]*[|]", address, re.IGNORECASE):
        return address
    path = address[5:] if address.lower().startswith("unix:") else address
    if path.startswith("/"):
        return f"unix:{path}|fcgi://localhost"
    parsed = addressPort(address)
    if parsed is None or parsed.host is None or parsed.port is None:
        raise ValueError(
            f"{address!r} is no FastCGI address: host:port, unix:/path, /path or fcgi://host:port"
        )
    return f"fcgi://{address}"


def listenLine(endpoint: str) -> str:
    """
    The Listen directive of an address or a Twisted endpoint description.

    :param endpoint: ``8080``, ``127.0.0.1:8080``, ``[::1]:8080``, ``tcp:8080``, ``unix:/path`` ...
    """
    parsed = addressPort(endpoint)
    if parsed is not None and parsed.port is not None and not isEndpoint(endpoint):
        return f"Listen {endpoint}"
    return f"Listen {quoted(endpoint)}"


def quoted(text: str) -> str:
    """
    A word in quotes.

    :raises ValueError: when no quoting can hold it.
    """
    if re.search(r"[\r\n\0]|\$\{", text):
        raise ValueError(f"{text!r} can't be written in a configuration")
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def siteText(root: str, fastcgi: str, listen: str | list[str] | tuple[str, ...]) -> str:
    """
    The configuration of a PHP site: ``--root``, ``--fastcgi`` and ``--listen``.

    What exists below the root is served, scripts by the application, all else
    by ``/index.php`` when there is one.

    :param root: the site's directory.
    :param fastcgi: see :func:`fastcgiUrl`.
    :param listen: see :func:`listenLine`; one or several.
    :returns: the text.
    :raises ValueError: when an argument can't be understood.
    """
    root = os.path.abspath(root)
    lines = [listenLine(endpoint) for endpoint in ([listen] if isinstance(listen, str) else listen)]
    lines += [
        f"DocumentRoot {quoted(root)}",
        "DirectoryIndex index.php index.html",
    ]
    if os.path.isfile(os.path.join(root, "index.php")):
        lines.append("FallbackResource /index.php")
    lines += [
        r'<FilesMatch "\.php$">',
        f"    SetHandler {quoted('proxy:' + fastcgiUrl(fastcgi))}",
        "</FilesMatch>",
    ]
    return "\n".join(lines) + "\n"
