"""PHP's two FastCGI servers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from glob import glob
from pathlib import Path

from tests.peers.process import Address, Server

__all__ = ["PhpCgi", "PhpFpm"]

PROGRAM = Path(__file__).parent / "programs" / "peer.php"

#: As a developer sets PHP up for streaming; nothing is buffered.
INI = {"output_buffering": "0", "implicit_flush": "0", "log_errors": "1", "post_max_size": "64M"}


class PhpFpm(Server):
    """
    php-fpm with a static pool of 4.

    :cvar pool: further lines of the pool's configuration.
    """

    name = "php-fpm"
    pool = ""
    configuration = "ProxyFCGIBackendType FPM"

    def __init__(self, directory: Path, address: Address) -> None:
        super().__init__(directory, address)
        self.application = PROGRAM

    def command(self) -> Sequence[str | Path]:
        values = "\n".join(f"php_admin_value[{name}] = {value}" for name, value in INI.items())
        owner = "user = root\ngroup = root" if os.geteuid() == 0 else ""
        file = self.directory / "pool.conf"
        file.write_text(f"""\
[global]
error_log = {self.directory}/output
[www]
{owner}
listen = {self.address}
pm = static
pm.max_children = 4
catch_workers_output = yes
{self.pool}
{values}
""")
        program = sorted(glob("/usr/sbin/php-fpm*"))[-1]
        words = [program, "--nodaemonize", "--fpm-config", str(file)]
        return [*words, "--allow-to-run-as-root"] if os.geteuid() == 0 else words


class PhpCgi(Server):
    """``php-cgi -b`` with 4 children."""

    name = "php-cgi"

    def __init__(self, directory: Path, address: Address) -> None:
        super().__init__(directory, address)
        self.application = PROGRAM

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "PHP_FCGI_CHILDREN": "4", "PHP_FCGI_MAX_REQUESTS": "0"}

    def command(self) -> Sequence[str | Path]:
        program = shutil.which("php-cgi")
        assert program is not None
        words = [program, "-b", str(self.address)]
        for name, value in INI.items():
            words += ["-d", f"{name}={value}"]
        return words
