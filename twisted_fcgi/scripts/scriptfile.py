"""
The file that an application is to run, looked for on this machine.

"Primary script unknown" is what PHP-FPM says when the name that it was told leads to
no file that it may read.  Here the name is read as PHP-FPM reads it, and the usual
mistakes are held against it, each with the line that is to be changed.  Nobody is
asked, and no file is opened.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from twisted_fcgi.scripts.hints import Hint, toText
from twisted_fcgi.settings import BackendType, MemberSettings

__all__ = ["Asked", "ScriptFile", "findScript", "hints", "readByFpm"]

#: What PHP-FPM runs unless security.limit_extensions says otherwise.
EXTENSIONS = (b".php", b".phar")

_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class ScriptFile:
    """
    A script on this machine.

    :ivar path: its name.
    :ivar pathInfo: what PHP-FPM takes for PATH_INFO behind it.
    :ivar kind: ``file``, ``directory``, ``other`` or ``missing``.
    :ivar mode: its rights and its owner, as ``ls -l`` shows them.
    :ivar missing: how much of the path is not there.
    """

    path: bytes
    pathInfo: bytes
    kind: str
    mode: str = ""
    missing: bytes = b""


@dataclass(frozen=True)
class Asked:
    """
    What an application is asked to run.

    :ivar place: of the line that made SCRIPT_FILENAME: a mapping, a handler, or an override.
    :ivar overridden: whether that is a ProxyFCGISetEnvIf.
    :ivar root: DocumentRoot, or empty.
    :ivar rootPlace: of its line.
    :ivar uri: the request's path.
    :ivar written: the path of the URL in the configuration.
    :ivar mapped: whether a ProxyPass made it, not a handler.
    :ivar expression: whether that is a ProxyPassMatch.
    """

    member: MemberSettings
    backendType: BackendType | None
    place: str = ""
    overridden: bool = False
    root: bytes = b""
    rootPlace: str = ""
    uri: bytes = b""
    written: bytes = b""
    mapped: bool = False
    expression: bool = False

    @property
    def local(self) -> bool:
        """Whether the application is on this machine, as far as its address says it."""
        return self.member.socket is not None or self.member.host in _LOCAL

    def needsFile(self, path: bytes) -> bool:
        """Whether a path has to be a file: not where it is said that it is none of PHP's."""
        return self.backendType is not BackendType.GENERIC or b".php" in path

    def below(self, path: bytes) -> bytes:
        """What a path is below DocumentRoot."""
        return self.root + b"/" + path.lstrip(b"/")


def readByFpm(scriptFilename: bytes) -> bytes:
    """
    The path that PHP-FPM reads (``init_request_info`` of its ``fpm_main.c``).

    Scheme, host and port of ``proxy:fcgi://`` or ``proxy:balancer://`` are skipped up to
    the first slash, and a query is cut off; nothing is decoded.
    """
    for prefix in (b"proxy:fcgi://", b"proxy:balancer://"):
        if scriptFilename[: len(prefix)].lower() == prefix:
            slash = scriptFilename.find(b"/", len(prefix))
            path = scriptFilename[slash:] if slash >= 0 else scriptFilename[len(prefix) :]
            return path.partition(b"?")[0]
    return scriptFilename


def findScript(path: bytes) -> ScriptFile:
    """
    Look for a script, as PHP-FPM does: the longest beginning of its path that is a file.

    :param path: as :func:`readByFpm` gives it.
    """
    missing = b""
    at = len(path)
    while at > 0:
        name = path[:at]
        try:
            status = os.stat(name)
        except (OSError, ValueError):
            missing = name
            at = path.rfind(b"/", 0, at)
            continue
        if stat.S_ISREG(status.st_mode):
            return ScriptFile(name, path[at:], "file", _mode(status))
        if at < len(path):
            break
        kind = "directory" if stat.S_ISDIR(status.st_mode) else "other"
        return ScriptFile(path, b"", kind, _mode(status))
    return ScriptFile(path, b"", "missing", missing=missing)


def hints(asked: Asked, script: ScriptFile) -> Iterator[Hint]:
    """What keeps an application from running a script, as far as can be seen from here."""
    yield from _addressHints(asked.member)
    if not asked.needsFile(script.path):
        return
    if script.kind == "file":
        yield from _fileHints(asked, script)
    else:
        yield _whyMissing(asked, script)
    if b".php" not in script.path:
        text = "If the application is none of PHP's, say so: ProxyFCGIBackendType GENERIC."
        yield Hint(text, asked.place)


def _addressHints(member: MemberSettings) -> Iterator[Hint]:
    if member.socket is None:
        return
    try:
        status = os.stat(member.socket)
    except OSError as error:
        yield Hint(
            f"The socket {member.socket} can't be reached: {error.strerror}. Compare it with "
            "listen = in the pool's file, and see whether the application runs.",
            member.place,
        )
        return
    if not stat.S_ISSOCK(status.st_mode):
        yield Hint(f"{member.socket} is no socket ({_mode(status)}).", member.place)
    elif not os.access(member.socket, os.W_OK):
        yield Hint(
            f"{_user(os.getuid())} may not connect to {member.socket} ({_mode(status)}): "
            "set listen.owner and listen.group in the pool's file.",
            member.place,
        )


def _fileHints(asked: Asked, script: ScriptFile) -> Iterator[Hint]:
    name = toText(script.path)
    if not asked.local:
        yield Hint(
            f"{name} is on this machine; {asked.member.address} has to have it under the same name."
        )
    elif (refused := _unreadable(script.path, _readerOf(asked.member))) is not None:
        yield refused
    if not script.path.lower().endswith(EXTENSIONS):
        yield Hint(
            f"PHP-FPM runs only names that end in .php (security.limit_extensions), not {name}.",
            asked.place,
        )


def _whyMissing(asked: Asked, script: ScriptFile) -> Hint:
    """The likeliest reason for which there is no file."""
    name = toText(script.path)
    if script.kind == "directory":
        return Hint(
            f"{name} is a directory, and no DirectoryIndex is looked at for what a ProxyPass "
            "claims: map .php alone, by <FilesMatch> and SetHandler.",
            asked.place,
        )
    decoded = unquote_to_bytes(script.path)
    if decoded != script.path and os.path.isfile(decoded):
        return Hint(
            f"The file is {toText(decoded)}, but most PHP-FPM do not decode what a ProxyPass "
            "encodes: SetHandler passes a name as it is.",
            asked.place,
        )
    if not asked.mapped and asked.written.strip(b"/"):
        rest = script.path.removeprefix(asked.written.rstrip(b"/"))
        if rest != script.path and (os.path.isfile(rest) or rest.startswith(asked.root)):
            return Hint(
                f"The file's whole path comes behind that of the handler's URL: take "
                f"{toText(asked.written)} off, so that it ends behind host and port.",
                asked.place,
            )
    if asked.root and script.path.startswith(asked.root * 2):
        return Hint(
            f"DocumentRoot stands twice in it: {toText(asked.root)} is in the line and in what "
            "is put behind it.",
            asked.place,
        )
    if asked.expression and b"$" not in asked.written and asked.written.strip(b"/"):
        return Hint(
            "No $1 is in the URL, so the whole path of the request is put behind it: end the URL "
            "with the site's directory and $1, and let a group of the expression match the rest: "
            r"^/(.*\.php)$.",
            asked.place,
        )
    return _whereElse(asked, script)


def _whereElse(asked: Asked, script: ScriptFile) -> Hint:
    """The same, where the configuration's line looks right by itself."""
    name = toText(script.path)
    own = findScript(asked.below(asked.uri))
    if asked.root and asked.mapped and own.kind == "file" and own.path != script.path:
        there = asked.root.rstrip(b"/") + b"/"
        text = f"The file of this URL is {toText(own.path)} here"
        if asked.local:
            text += f", but the line says {name}: end its path with {toText(there)}"
            text += "$1." if asked.expression else "."
        else:
            text += (
                f"; {asked.member.address} is asked for {name}, which is right only if it has "
                "the site there."
            )
        return Hint(text, asked.place)
    if not asked.local:
        text = (
            f"{name} is not on this machine, which means nothing if {asked.member.address} is "
            "another one, or a container: look there."
        )
        if not asked.overridden:
            text += (
                " A path that differs there is told by "
                'ProxyFCGISetEnvIf "true" SCRIPT_FILENAME "/path/there%{reqenv:SCRIPT_NAME}".'
            )
        return Hint(text, asked.place)
    return Hint(
        f'{toText(script.missing)} does not exist, so PHP-FPM says "Primary script unknown" '
        '("File not found."). Where it runs in a container, the name has to be right in there.',
        asked.place if asked.mapped else asked.rootPlace,
    )


# Rights.


def _readerOf(member: MemberSettings) -> int | None:
    """
    The user who the pool probably runs as: its socket's owner, else www-data.

    ``None`` when that can't be guessed.
    """
    if member.socket is not None:
        try:
            owner = os.stat(member.socket).st_uid
        except OSError:
            owner = 0
        if owner:
            return owner
    try:
        return pwd.getpwnam("www-data").pw_uid
    except KeyError:
        return None


def _unreadable(path: bytes, uid: int | None) -> Hint | None:
    """What keeps a user from reading a file: a directory on the way, or the file itself."""
    if uid is None:
        return None
    path = os.path.realpath(path)
    try:
        entry = pwd.getpwuid(uid)
        groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    except KeyError:
        groups = []
    at = 0
    while at >= 0:
        at = path.find(b"/", at + 1)
        name = path if at < 0 else path[:at]
        try:
            status = os.stat(name)
        except OSError as error:
            return Hint(f"{toText(name)}: {error.strerror}.")
        needed = 4 if at < 0 else 1
        if not _allowed(status, uid, groups) & needed:
            what = "read" if at < 0 else "enter"
            return Hint(
                f"If the pool runs as {_user(uid)}, it may not {what} {toText(name)} "
                f'({_mode(status)}), and PHP-FPM says "Primary script unknown".'
            )
    return None


def _allowed(status: os.stat_result, uid: int, groups: list[int]) -> int:
    """The rights of a user, as the last octal digit of a mode has them."""
    if uid == 0:
        return 7
    if status.st_uid == uid:
        return status.st_mode >> 6 & 7
    return (status.st_mode >> 3 if status.st_gid in groups else status.st_mode) & 7


def _mode(status: os.stat_result) -> str:
    return f"{stat.filemode(status.st_mode)} {_user(status.st_uid)}:{_group(status.st_gid)}"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
