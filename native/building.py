"""
The compiled build, as setuptools does it.

Strategy: next to some modules of the package, which are all installed as they are, there
is one more file, of C.  Python imports that one.  So there is one source, tracebacks name
its lines, and who takes the files of C away has the package as it was.

All that is made on the way is in setuptools' folder for what is temporary: modules that
are translated for Cython, as :mod:`native.translation` says, and their C.  A module is
compiled again when it, or what is declared of any, has changed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from sysconfig import get_config_var

from setuptools import Extension
from setuptools.command.build_ext import build_ext
from setuptools.errors import OptionError

from native.declarations import PROTOCOL
from native.seams import MODULE
from native.translation import translatedAll

__all__ = [
    "CYTHON",
    "KEPT",
    "MODULES",
    "SUPPLIED",
    "VARIABLE",
    "NativeBuild",
    "extensions",
    "isAsked",
]

#: The variable of the environment that asks for a compiled build.
VARIABLE = "TWISTED_FCGI_NATIVE"

#: What such a build needs beside a compiler.
CYTHON = "cython >= 3.1"

#: What a small request passes through; a class before those that are made from it.
MODULES = (
    "headers",
    "message",
    "wire.records",
    "wire.pairs",
    "wire.connection",
    "wire.client",
    "cgi.response",
    "cgi.params",
    "cgi.conditions",
    "routing.grounds",
    "routing.decisions",
    "routing.router",
    "balance.byrequests",
    "balance.methods",
    "balance.balancer",
    "backend.deadlines",
    "backend.hub",
    "backend.writing",
    "backend.transports",
    "backend.accepting",
    "backend.connecting",
    "backend.pool",
    "backend.stream",
    "backend.connection",
    "backend.protocol",
    "backend.member",
    "web.transports",
    "web.knownlines",
    "web.http1",
    "web.sentheads",
    "web.clientresponse",
    "web.front",
    "web.connection",
    "web.channel",
    "web.livemembers",
    "web.attempts",
    "web.terms",
    "web.relay",
    "web.gateway",
)

#: Classes and constants that stay as they are: tests patch them, and there is little to win.
KEPT = ("ALLOWANCE", "MAX_IDLE_IN_ALL")

#: Modules whose place another one takes, written for Cython and in this folder, and the
#: extension types in it.
SUPPLIED = {"backend.sockets": ("Epoll", "Socket")}

#: What annotations say goes into the declarations, and nowhere else.  Functions do not know
#: their parameters, which would take half a megabyte.
_DIRECTIVES = {
    "annotation_typing": False,
    "binding": False,
    "language_level": 3,
    "nonecheck": True,
}

# No debugging information, which is most of such a file; no word of what only looks wrong
# to a compiler that can't know what was ruled out before; but a stop at what would be
# a method without its object.  What more there is to optimize, and tables for exceptions of
# other languages, would make each process a megabyte larger.
_FLAGS = [
    "-O2",
    "-g0",
    "-fno-asynchronous-unwind-tables",
    "-Wno-array-bounds",
    "-Werror=incompatible-pointer-types",
]


def isAsked(environment: Mapping[str, str]) -> bool:
    """
    Whether a compiled build is wanted.

    :raises SystemExit: when that can't be told.
    """
    value = environment.get(VARIABLE, "")
    if value not in ("", "0", "1"):
        raise SystemExit(f"{VARIABLE} is 1 for a compiled build, or 0; not {value!r}")
    return value == "1"


def extensions() -> list[Extension]:
    """The modules that are compiled; of what, is only found out when they are built."""
    names = [MODULE, PROTOCOL, *(f"twisted_fcgi.{name}" for name in (*MODULES, *SUPPLIED))]
    return [Extension(name, [], extra_compile_args=_FLAGS) for name in names]


class NativeBuild(build_ext):
    """Translates the modules, then makes C of them with Cython, then compiles that."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if self.inplace or getattr(self, "editable_mode", False):
            raise OptionError(
                f"an editable installation runs the sources as they are: without {VARIABLE}"
            )
        if self.parallel is None:
            self.parallel = os.cpu_count() or 1

    def build_extensions(self) -> None:
        self._root = Path(self.build_temp) / "translated"
        sources = {
            name: Path("twisted_fcgi", *name.split(".")).with_suffix(".py").read_text("utf-8")
            for name in MODULES
        }
        translated = translatedAll(sources, KEPT, SUPPLIED)
        for name, (source, declarations) in translated.items():
            path = self._pathOf(name)
            for folder in path.parents:
                if folder == self._root:
                    break
                _write(folder / "__init__.pxd", "")
            _write(path, source)
            _write(path.with_suffix(".pxd"), declarations)
        for name in SUPPLIED:
            for suffix in (".pyx", ".pxd"):
                written = Path(__file__).with_name(name.rpartition(".")[2]).with_suffix(suffix)
                path = self._pathOf(f"twisted_fcgi.{name}").with_suffix(suffix)
                _write(path, written.read_text("utf-8"))
        self._declaredAt = max(path.stat().st_mtime for path in self._root.rglob("*.pxd"))
        for extension in self.extensions:
            extension.sources = [str(self._pathOf(extension.name).with_suffix(".c"))]
        built = {Path(output) for output in self.get_outputs()}
        for path in Path(self.build_lib).rglob(f"*{get_config_var('EXT_SUFFIX')}"):
            if path not in built:
                path.unlink()  # of a module that is not compiled any more
        super().build_extensions()

    def build_extension(self, ext: Extension) -> None:
        source = self._pathOf(ext.name)
        made = source.with_suffix(".c")
        neededAt = max(source.stat().st_mtime, self._declaredAt)
        if not made.exists() or made.stat().st_mtime <= neededAt:
            directives = [f"--directive={name}={value}" for name, value in _DIRECTIVES.items()]
            # A process for each, since Cython has no threads; from there, since the names
            # of files in tracebacks are relative to where it runs.
            subprocess.run(
                [sys.executable, "-m", "cython", *directives, source.relative_to(self._root)],
                cwd=self._root,
                check=True,
            )
        super().build_extension(ext)

    def _pathOf(self, name: str) -> Path:
        supplied = name.removeprefix("twisted_fcgi.") in SUPPLIED
        return self._root.joinpath(*name.split(".")).with_suffix(".pyx" if supplied else ".py")


def _write(path: Path, text: str) -> None:
    """Write a file, unless it is the same already: what did not change is not compiled again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")
