"""Packaging; tool settings are in pyproject.toml."""

from __future__ import annotations

import os
import re
from pathlib import Path

from setuptools import find_packages, setup

from native.building import CYTHON, NativeBuild, extensions, isAsked

HERE = Path(__file__).parent
TLS = ["Twisted[tls] >= 24.7"]
HTTP2 = ["Twisted[http2] >= 24.7"]
TEST = ["flup-py3", "hypothesis", "pytest >= 8", "pytest-twisted >= 1.14"]


def version() -> str:
    """The version, read without importing the package, which needs what is not yet installed."""
    source = (HERE / "twisted_fcgi" / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "([^"]+)"$', source, re.MULTILINE)
    assert match is not None
    return match[1]


native = (
    {"cmdclass": {"build_ext": NativeBuild}, "ext_modules": extensions()}
    if isAsked(os.environ)
    else {}
)

setup(
    name="twisted_fcgi",
    version=version(),
    description="FastCGI applications behind Twisted, configured in Apache httpd's own language",
    long_description=(HERE / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license="MIT",
    license_files=["LICENSE"],
    keywords="fastcgi php-fpm proxy gateway twisted cgi",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Framework :: Twisted",
        "Intended Audience :: Developers",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3 :: Only",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 15)),
        "Topic :: Internet :: WWW/HTTP :: HTTP Servers",
        "Topic :: Internet :: Proxy Servers",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    install_requires=["Twisted >= 24.7", "httptools >= 0.6", "pcre2 >= 0.6", "zope.interface >= 5"],
    extras_require={
        "tls": TLS,
        "http2": HTTP2,
        "test": [*TEST, *TLS, *HTTP2],
        "dev": [
            "build",
            CYTHON,
            "furo",
            "mypy",
            "mypy-zope",
            "ruff",
            "setuptools >= 77",
            "sphinx >= 7",
        ],
    },
    # twisted.plugins is Twisted's: its one module of ours is shipped as that package's,
    # and there is no __init__.py, so that nothing of Twisted's is covered.
    packages=[*find_packages(include=["twisted_fcgi", "twisted_fcgi.*"]), "twisted.plugins"],
    # Twisted looks for plugins along sys.path.  With the root named as the place of all
    # packages, `pip install -e` adds it there; else it installs an import hook instead.
    package_dir={"": "."},
    package_data={"twisted_fcgi": ["py.typed"], "twisted_fcgi.service": ["*.html"]},
    entry_points={"console_scripts": ["fcgi = twisted_fcgi.scripts.fcgi:main"]},
    zip_safe=False,
    **native,
)
