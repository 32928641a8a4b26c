"""
What pytest needs beside the tests.

Tests marked ``servers`` talk to real programs.  Where one is missing, its tests
are skipped and the end of the run says what to install; with ``CI`` set, every
skip is a failure.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterable
from glob import glob

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.peers.fixtures"]

#: Real programs by name: where they may be, beside $PATH, and the Debian package.
SERVERS = {
    "apache2": ("/usr/sbin/apache2", "apache2"),
    "cc": ("", "gcc"),
    "cgi-fcgi": ("", "libfcgi-bin"),
    "curl": ("", "curl"),
    "fcgiwrap": ("/usr/sbin/fcgiwrap", "fcgiwrap"),
    "haproxy": ("/usr/sbin/haproxy", "haproxy"),
    "libfcgi": ("/usr/include/fcgiapp.h", "libfcgi-dev"),
    "nginx": ("/usr/sbin/nginx", "nginx-light"),
    "nsd": ("/usr/sbin/nsd", "nsd"),
    "php-cgi": ("", "php-cgi"),
    "php-fpm": ("/usr/sbin/php-fpm*", "php-fpm"),
    "stunnel4": ("/usr/bin/stunnel4", "stunnel4"),
    "uwsgi": ("/usr/bin/uwsgi-core", "uwsgi-core"),
    "uwsgi-python": ("/usr/lib/uwsgi/plugins/python3*_plugin.so", "uwsgi-plugin-python3"),
}

CI = bool(os.environ.get("CI"))

# Examples are bounded by their number; how fast a machine is says nothing.
# New examples are for who can look at what they find.
settings.register_profile(
    "twisted_fcgi",
    deadline=None,
    suppress_health_check=(HealthCheck.too_slow,),
    print_blob=True,
    derandomize=CI,
)
settings.load_profile("twisted_fcgi")


def isThere(name: str) -> bool:
    """Whether a real program, or what it is compiled from, is installed."""
    places, _ = SERVERS[name]
    return shutil.which(name) is not None or bool(places and glob(places))


def missingFor(item: pytest.Item) -> list[str]:
    """The names of what a test needs and the machine lacks."""
    marks: Iterable[pytest.Mark] = item.iter_markers("servers")
    return sorted({name for m in marks for name in (m.args or SERVERS) if not isThere(name)})


def install(names: Iterable[str]) -> str:
    """The command that installs what is missing."""
    return "apt-get install " + " ".join(sorted({SERVERS[name][1] for name in names}))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip, with the reason, what can't run on this machine."""
    lacking: set[str] = set()
    for item in items:
        if missing := missingFor(item):
            lacking.update(missing)
            item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}"))
    config.stash[LACKING] = lacking


LACKING = pytest.StashKey[set[str]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what to install, so that nothing is skipped."""
    lacking = terminalreporter.config.stash.get(LACKING, set())
    if lacking:
        terminalreporter.section("real servers that are not installed", yellow=True)
        terminalreporter.line(f"The tests that talk to them were left out.  {install(lacking)}")


def refuseSkip(report: pytest.CollectReport | pytest.TestReport) -> None:
    """Turn a skip into a failure (an expected failure is none)."""
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: nothing may be skipped in CI: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Nothing is skipped in CI."""
    report = yield
    refuseSkip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """No module either."""
    report = yield
    refuseSkip(report)
    return report
