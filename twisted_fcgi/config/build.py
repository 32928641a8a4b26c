"""A configuration's text to :class:`twisted_fcgi.settings.Settings`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial

from twisted_fcgi.config.directives import REGISTRY
from twisted_fcgi.config.drafts import ConfigurationDraft
from twisted_fcgi.config.htaccess import AccessFileReader
from twisted_fcgi.config.source import decode, encode
from twisted_fcgi.config.tree import TreeReader
from twisted_fcgi.config.walk import Walk
from twisted_fcgi.errors import ConfigurationError, ConfigurationErrors
from twisted_fcgi.settings import AllowOverride, Override, Settings

__all__ = ["checkAccessFile", "load", "loads"]


def load(path: str, defines: Iterable[str] = ()) -> Settings:
    """
    Read a configuration file.

    :param defines: names, or ``NAME=value``, as httpd's ``-D`` has them.
    :returns: the settings.
    :raises ConfigurationErrors: with everything that is wrong.
    """
    root = os.path.dirname(os.path.abspath(path))
    try:
        text = _readFile(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationErrors([ConfigurationError(f"{path}: {reason}")]) from None
    return loads(text, path, defines, root)


def loads(
    text: str,
    name: str = "<text>",
    defines: Iterable[str] = (),
    serverRoot: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """
    Read a configuration.

    :param name: what errors call it.
    :param serverRoot: where relative paths begin, until ServerRoot says otherwise.
    :param environment: what ``${}`` and PassEnv look into, instead of the process's.
    :returns: the settings.
    :raises ConfigurationErrors: with everything that is wrong.
    """
    root = os.getcwd() if serverRoot is None else serverRoot
    environment = os.environ if environment is None else environment
    defined = {key: value if eq else None for key, eq, value in (d.partition("=") for d in defines)}
    reader = TreeReader(REGISTRY, root, environment, _readFile, defined)
    reader.read(name, text)
    draft = ConfigurationDraft(reader.serverRoot, environment)
    draft.errors = reader.errors
    draft.notices = reader.warnings
    draft.ignored = reader.ignored
    draft.absent = reader.absent
    Walk(REGISTRY, draft).walk(reader.nodes)
    if draft.errors:
        order = reader.names
        draft.errors.sort(key=lambda error: (order.get(error.file, 0), error.line, error.column))
        raise ConfigurationErrors(draft.errors, draft.notices)
    defined = {name: reader.variables.get(name) for name in reader.defines}
    return draft.finish(partial(AccessFileReader, draft=draft, defines=defined))


def checkAccessFile(path: str, defines: Iterable[str] = ()) -> tuple[str, ...]:
    """
    Read a ``.htaccess`` as where AllowOverride and AllowOverrideProxy let it say anything.

    :param defines: as of :func:`load`.
    :returns: notices.
    :raises ConfigurationErrors: with everything that is wrong.
    """
    directory = os.path.dirname(os.path.abspath(path))
    everything = 'AllowOverrideProxy Any\n<Directory "/">\n    AllowOverride All\n</Directory>\n'
    host = loads(everything, defines=defines, serverRoot=directory).main
    assert host.readAccessFile is not None
    try:
        text = _readFile(path)
    except OSError as error:
        raise ConfigurationErrors([ConfigurationError(f"{path}: {error.strerror}")]) from None
    allow = AllowOverride(Override.ANY)
    return host.readAccessFile(host, text, path, encode(directory), allow)[1]


def _readFile(path: str) -> str:
    with open(path, "rb") as file:
        return decode(file.read())
