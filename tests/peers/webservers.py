"""Other people's web servers, before our FastCGI server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.peers.process import Address, Server, freePort

__all__ = ["Apache", "Nginx", "WebServer"]


class WebServer(Server):
    """
    A web server that asks one application for all paths, and keeps connections to it.

    :param behind: where the application listens, on TCP.
    """

    def __init__(self, directory: Path, behind: Address) -> None:
        super().__init__(directory, Address(None, freePort()))
        self.behind = behind


class Apache(WebServer):
    """Apache httpd with mod_proxy_fcgi."""

    name = "apache2"

    def command(self) -> Sequence[str | Path]:
        modules = Path("/usr/lib/apache2/modules")
        names = ("mpm_event", "authz_core", "proxy", "proxy_fcgi")
        lines = [f"LoadModule {name}_module {modules}/mod_{name}.so" for name in names]
        owner = "User nobody\nGroup #65534" if os.geteuid() == 0 else ""
        file = self.directory / "httpd.conf"
        file.write_text(
            "\n".join(lines)
            + f"""
{owner}
ServerRoot {self.directory}
DefaultRuntimeDir {self.directory}
PidFile {self.directory}/pid
Listen {self.address}
ServerName www.example.test
ErrorLog {self.directory}/output
ServerLimit 1
StartServers 1
ThreadsPerChild 16
MaxRequestWorkers 16
ProxyPass / fcgi://{self.behind}/ enablereuse=on flushpackets=on
"""
        )
        program = shutil.which("apache2", path="/usr/sbin:/usr/bin")
        assert program is not None
        return [program, "-DFOREGROUND", "-f", file]


class Nginx(WebServer):
    """nginx with one process."""

    name = "nginx"

    def command(self) -> Sequence[str | Path]:
        file = self.directory / "nginx.conf"
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = "\n".join(f"{kind}_temp_path {self.directory}/{kind};" for kind in kinds)
        file.write_text(f"""
daemon off;
master_process off;
pid {self.directory}/pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_max_body_size 0;
  {paths}
  upstream application {{ server {self.behind}; keepalive 4; }}
  server {{
    listen {self.address};
    location / {{
      fastcgi_pass application;
      fastcgi_keep_conn on;
      fastcgi_buffering off;
      fastcgi_param QUERY_STRING $query_string;
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param REQUEST_URI $request_uri;
      fastcgi_param CONTENT_LENGTH $content_length;
    }}
  }}
}}
""")
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
        assert program is not None
        return [program, "-e", "stderr", "-p", self.directory, "-c", file]
