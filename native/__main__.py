"""
``python -m native DIRECTORY``: a copy of the package there, with its hot path compiled,
and of its tests.

A test that sets a method of an extension type's fails there; let it set the object's
whole place.  Nothing but speed is different else.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup  # type: ignore[import-untyped]

from native.translation import (
    PROTOCOL,
    PROTOCOL_DECLARATIONS,
    PROTOCOL_SOURCE,
    Module,
    declarations,
    declare,
    translated,
)

ROOT = Path(__file__).resolve().parent.parent

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
    "routing.router",
    "backend.deadlines",
    "backend.hub",
    "backend.transports",
    "backend.pool",
    "backend.stream",
    "backend.connection",
    "backend.protocol",
    "backend.member",
    "web.http1",
    "web.clientresponse",
    "web.channel",
    "web.relay",
    "web.gateway",
)

#: Classes that stay as they are: tests patch them, and there is little to win.
KEPT = ("DirectEndpoint", "Router")

#: Types are what annotations say here, and nowhere else; all else is as in Python.
DIRECTIVES = {"language_level": 3, "annotation_typing": False, "binding": True}


def write(path: Path, text: str) -> None:
    """Write a file, unless it is the same already: what did not change is not compiled again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def main(target: Path) -> None:
    """Translate and compile."""
    package = ROOT / "twisted_fcgi"
    known: dict[str, Module] = {}
    modules = []
    for name in MODULES:
        source = (package / (name.replace(".", "/") + ".py")).read_text()
        modules.append(Module(f"twisted_fcgi.{name}", source))
        modules[-1].choose(known, KEPT)
    for module in modules:
        declare(module, known)
    compiled = {target / (module.name.replace(".", "/") + ".py") for module in modules}
    for path in package.rglob("*"):
        copy = target / path.relative_to(ROOT)
        if path.is_file() and copy not in compiled and path.suffix in (".py", ".html", ".typed"):
            write(copy, path.read_text())
            if path.name == "__init__.py":
                write(copy.with_suffix(".pxd"), "")
    for module in modules:
        path = target / (module.name.replace(".", "/") + ".py")
        write(path.with_suffix(".pxd"), declarations(module, known))
        write(path, translated(module, known))
    path = target / (PROTOCOL.replace(".", "/") + ".py")
    write(path.with_suffix(".pxd"), PROTOCOL_DECLARATIONS)
    write(path, PROTOCOL_SOURCE)
    for name in ("tests", "twisted"):
        shutil.copytree(ROOT / name, target / name, dirs_exist_ok=True)
    for name in ("README.rst", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, target)
    names = [PROTOCOL, *(module.name for module in modules)]
    extensions = [
        Extension(
            name, [str(target / (name.replace(".", "/") + ".py"))], extra_compile_args=["-g0"]
        )
        for name in names
    ]
    setup(
        name="twisted_fcgi",
        packages=[],
        ext_modules=cythonize(extensions, nthreads=2, compiler_directives=DIRECTIVES),
        script_args=["--quiet", "build_ext", "--build-lib", str(target), "--parallel", "2",
                     "--build-temp", str(target / "build")],
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
