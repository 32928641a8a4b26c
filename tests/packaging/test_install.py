"""
The package as people get it: built and installed for real, into fresh environments.

The environments see what is installed beside the tests through a ``.pth`` file, so
that nothing is fetched, and are made without pip of their own; what is looked at in
them can only come from the installation, since paths listed in a ``.pth`` have
their own ``.pth`` files (our editable installation among them) not read.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import twisted_fcgi

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parents[2]
TWISTD = "from twisted.scripts.twistd import run; run()"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is packaged, so that building leaves nothing in the tree."""
    copy = tmp_path_factory.mktemp("source") / "twisted_fcgi"
    copy.mkdir()
    unwanted = shutil.ignore_patterns("__pycache__", "dropin.cache", "*.so")
    for name in ("native", "twisted", "twisted_fcgi"):
        shutil.copytree(ROOT / name, copy / name, ignore=unwanted)
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.rst", "LICENSE", "Makefile"):
        shutil.copy(ROOT / name, copy)
    return copy


class Environment:
    """
    A fresh virtual environment.

    :ivar python: its interpreter.
    """

    def __init__(self, path: Path) -> None:
        venv.create(path, with_pip=False, symlinks=True)
        self.path = path
        self.python = path / "bin" / "python"
        (self._site / "outer.pth").write_text(sysconfig.get_path("purelib") + "\n")

    @property
    def _site(self) -> Path:
        minor = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        return self.path / "lib" / minor / "site-packages"

    def run(self, *arguments: str | Path) -> str:
        """What a program of the environment prints; it has to succeed."""
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(arguments, cwd=self.path, env=clean, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, *what: str | Path) -> None:
        """Install without fetching anything."""
        pip = (self.python, "-m", "pip", "--disable-pip-version-check", "install")
        self.run(*pip, "--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed",
                 *what)  # fmt: skip

    def twistdHelp(self) -> list[str]:
        """The line of ``twistd --help`` about our command."""
        out = self.run(self.python, "-c", TWISTD, "--help")
        return [line for line in out.splitlines() if line.split()[:1] == ["fcgiproxy"]]

    def origin(self) -> Path:
        """Where the package is imported from."""
        code = "import twisted_fcgi; print(twisted_fcgi.__file__)"
        return Path(self.run(self.python, "-c", code).strip())


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "environment")


def build(kind: str, source: Path, target: Path) -> Path:
    """Build a distribution file."""
    subprocess.run(
        (sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "-o", target, source),
        check=True,
        capture_output=True,
    )
    (made,) = target.iterdir()
    return made


def test_nothingBefore(environment: Environment) -> None:
    """A fresh environment has no such command, so that the other tests can fail."""
    assert environment.twistdHelp() == []


def isWhole(package: Path) -> bool:
    """Whether what is no code was installed too."""
    return all((package / name).exists() for name in ("py.typed", "service/demo.html"))


def test_wheel(environment: Environment, source: Path, tmp_path: Path) -> None:
    """A wheel brings the twistd command, the fcgi command and what else belongs to it."""
    environment.install(build("wheel", source, tmp_path / "dist"))
    assert len(environment.twistdHelp()) == 1
    assert environment.path in environment.origin().parents
    assert isWhole(environment.origin().parent)
    version = environment.run(environment.path / "bin" / "fcgi", "--version")
    assert version.split() == ["fcgi", twisted_fcgi.__version__]


def test_sourceDistribution(environment: Environment, source: Path, tmp_path: Path) -> None:
    """A source distribution has all that is needed to build, and brings the twistd command."""
    environment.install(build("sdist", source, tmp_path / "dist"))
    assert len(environment.twistdHelp()) == 1
    assert environment.path in environment.origin().parents
    assert isWhole(environment.origin().parent)


def test_editable(environment: Environment, source: Path) -> None:
    """An editable installation runs from the tree and brings the twistd command."""
    environment.install("--editable", source)
    assert len(environment.twistdHelp()) == 1
    assert source in environment.origin().parents
