"""
The ``fcgi`` command: one subcommand a row of :data:`COMMANDS`.

Mistakes of the caller are one line on standard error and exit status 2.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from twisted_fcgi import config, versionText
from twisted_fcgi.errors import ConfigurationErrors
from twisted_fcgi.message import Address as ClientAddress
from twisted_fcgi.scripts.explain import explain
from twisted_fcgi.scripts.probe import Address, probe
from twisted_fcgi.wire import Role

__all__ = ["COMMANDS", "check", "main"]


def check(options: argparse.Namespace) -> int:
    """
    ``fcgi check``: read configurations and say what is wrong with them, or may be.

    :returns: the exit status.
    """
    paths = options.file + (options.list or [])
    refused = 0
    for path in paths:
        try:
            notices = (config.checkAccessFile if options.htaccess else _check)(path, options.define)
            verdict = "accepted"
            if options.list is None:
                for notice in notices:
                    print(notice, file=sys.stderr)
        except ConfigurationErrors as errors:
            verdict = "refused"
            refused += 1
            if options.list is None:
                print(*errors.notices, errors, sep="\n", file=sys.stderr)
        print(verdict if options.list is not None else f"{path}: {verdict}")
    return 1 if refused else 0


def _check(path: str, defines: Sequence[str]) -> tuple[str, ...]:
    settings = config.load(path, defines)
    return (*settings.notices, *config.hazards(settings), *config.unheard(settings))


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path}: {error.strerror}") from None


def _addCheck(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="*", default=[], metavar="FILE")
    parser.add_argument(
        "--htaccess",
        action="store_true",
        help="the files are .htaccess files; whatever one may ever say is allowed",
    )
    parser.add_argument(
        "--list",
        type=_lines,
        metavar="FILE",
        help="a file of paths, one a line; prints accepted or refused for each, in order",
    )
    parser.add_argument(
        "--define",
        action="append",
        default=[],
        metavar="NAME",
        help="as httpd's -D: what <IfDefine> asks for",
    )


def _parameter(separator: str) -> Callable[[str], tuple[str, str]]:
    """A reader of ``name<separator>value``."""

    def parameter(text: str) -> tuple[str, str]:
        name, found, value = text.partition(separator)
        if not found or not name:
            raise argparse.ArgumentTypeError(f"{text!r} is no NAME{separator}VALUE")
        return name, value.strip() if separator == ":" else value

    return parameter


def _address(text: str) -> Address:
    try:
        return Address.fromText(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _data(text: str) -> bytes:
    if not text.startswith("@"):
        return text.encode("utf-8", "surrogateescape")
    try:
        return sys.stdin.buffer.read() if text == "@-" else Path(text[1:]).read_bytes()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text[1:]}: {error.strerror}") from None


def _addProbe(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "address",
        type=_address,
        metavar="ADDRESS",
        help="host:port, unix:/path, /path, fcgi://host:port/path or unix:/path|fcgi://host/path",
    )
    add("script", nargs="?", default="/", metavar="SCRIPT",
        help="the script's path as the application sees it, below the path of a fcgi:// URL; "
        "may have a ?query")  # fmt: skip
    add("-v", "--verbose", action="store_true", help="show each record, with its time")
    add("--values", action="store_true", help="ask GET_VALUES instead")
    add("-X", "--method", metavar="METHOD", help="GET, or POST with -d")
    add("-H", "--header", action="append", default=[], type=_parameter(":"),
        metavar="'NAME: VALUE'", help="a field of the request")  # fmt: skip
    add("-d", "--data", type=_data, metavar="DATA",
        help="the body; @FILE, or @- for standard input")  # fmt: skip
    add("--param", action="append", default=[], type=_parameter("="), metavar="NAME=VALUE",
        help="one more variable, or in the place of another")  # fmt: skip
    add("--authorizer", action="store_const", dest="role", const=Role.AUTHORIZER,
        default=Role.RESPONDER, help="ask it as an authorizer")  # fmt: skip
    add("--timeout", type=float, default=30.0, metavar="SECONDS",
        help="silence that is borne (default: %(default)g)")  # fmt: skip
    parser.epilog = (
        "Exit status: 0 a response, or values; 1 a response whose status is 400 or more; "
        "2 wrong usage; 3 no connection; 4 timed out; 5 broken protocol or response."
    )


def _peer(text: str) -> ClientAddress:
    """``ADDRESS`` or ``ADDRESS:PORT``; an IPv6 address with a port stands in brackets."""
    match = re.fullmatch(
        r"\[([0-9A-Fa-f:.]+)\](?::(\d+))?|([0-9.]+)(?::(\d+))?|([0-9A-Fa-f:.]+)", text
    )
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no IP address")
    return ClientAddress(
        (match[1] or match[3] or match[5]).encode("ascii"), int(match[2] or match[4] or 0)
    )


def _addExplain(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("url", metavar="URL", help="http://host:port/path?query, or a path alone")
    add("--config", required=True, metavar="FILE", help="the configuration")
    add("-D", "--define", action="append", default=[], metavar="NAME[=VALUE]",
        help="as httpd's -D: what <IfDefine> asks for")  # fmt: skip
    add("-X", "--method", default="GET", metavar="METHOD", help="default: %(default)s")
    add("-H", "--header", action="append", default=[], type=_parameter(":"),
        metavar="'NAME: VALUE'", help="a field of the request")  # fmt: skip
    add("--client", type=_peer, default=ClientAddress(b"127.0.0.1", 0),
        metavar="ADDRESS[:PORT]", help="who asks (default: 127.0.0.1)")  # fmt: skip
    add("--server", type=_peer, metavar="ADDRESS[:PORT]",
        help="where the client is connected to (default: the URL's host, or 127.0.0.1 for a "
        "name, and its port)")  # fmt: skip
    add("--json", action="store_true", help="for programs")
    parser.epilog = "Exit status: 0; 1 when the request would be refused; 2 for wrong usage."


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


#: Name, one line about it, what adds its arguments, and what runs it.
COMMANDS: tuple[
    tuple[
        str,
        str,
        Callable[[argparse.ArgumentParser], None],
        Callable[[argparse.Namespace], int],
    ],
    ...,
] = (
    (
        "explain",
        "say what is done with a request and why, without sending it",
        _addExplain,
        explain,
    ),
    ("check", "read configurations, and say what is wrong with them", _addCheck, check),
    ("probe", "send one request to an application, and watch", _addProbe, probe),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    The command.

    :param arguments: without the program's name; by default the process's own.
    :returns: the exit status.
    """
    parser = _Parser(prog="fcgi", description="Tools for FastCGI.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {versionText()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, line, addArguments, run in COMMANDS:
        command = commands.add_parser(name, help=line, description=line.capitalize() + ".")
        addArguments(command)
        command.set_defaults(run=run)
    options = parser.parse_args(arguments)
    try:
        result: int = options.run(options)
        return result
    except BrokenPipeError:
        return 1  # `| head` has seen enough
    except KeyboardInterrupt:
        return 130
