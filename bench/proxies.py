"""
The proxies that are compared, each in front of one FastCGI responder.

Every one does the same: no access log, unlimited requests on a client's
connection, bodies passed on as they come, idle connections to the application
kept when ``reuse`` is on.  The event-driven ones run as one process with one
thread; Apache has threads enough for the scenario.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.programs import freePort

__all__ = ["PROXIES", "Apache", "HAProxy", "Nginx", "Proxy", "Setup", "TwistedFCGI"]

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Setup:
    """
    What a scenario asks of a proxy.

    :ivar reuse: keep the connections to the application.
    :ivar concurrency: requests at a time that have to be possible.
    :ivar routes: mappings of other paths, before the one that is asked for.
    :ivar hosts: virtual hosts of other names, before the one that is asked for.
    :ivar members: of the balancer that is asked; all lead to the one responder.  0: no balancer.
    """

    reuse: bool = True
    concurrency: int = 64
    routes: int = 0
    hosts: int = 0
    members: int = 0


class Proxy:
    """
    One proxy, started in a directory of its own.

    :cvar name: for the tables.
    :ivar port: where it listens on 127.0.0.1.
    :ivar startedIn: seconds until it accepted.
    """

    name = ""
    startedIn = 0.0

    def __init__(self, directory: Path, application: int, setup: Setup) -> None:
        self.port = freePort()
        self.log = directory / "output"
        file = directory / "configuration"
        file.write_text(self.configuration(directory, application, setup))
        self._startedAt = time.monotonic()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command(file),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )

    @property
    def pid(self) -> int:
        """The top of its tree of processes."""
        return self.process.pid

    @classmethod
    def program(cls) -> str | None:
        """The path of its program, or ``None`` when it is not there."""
        raise NotImplementedError

    @classmethod
    def version(cls) -> str:
        """Its version's number."""
        raise NotImplementedError

    def command(self, file: Path) -> list[str]:
        """How to start it in the foreground."""
        raise NotImplementedError

    def configuration(self, directory: Path, application: int, setup: Setup) -> str:
        """Its configuration."""
        raise NotImplementedError

    def wait(self) -> None:
        """
        Wait until it accepts.

        :raises RuntimeError: when it ended, or did not accept within 15 seconds.
        """
        deadline = self._startedAt + 15
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.01)
            else:
                self.startedIn = time.monotonic() - self._startedAt
                return
        output = self.log.read_text(errors="replace")[-2000:]
        self.stop()
        raise RuntimeError(f"{self.name} does not start: {output}")

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _versionOf(words: list[str]) -> str:
    run = subprocess.run(words, capture_output=True, text=True)
    found = re.search(r"[0-9]+(\.[0-9]+)+", run.stdout + run.stderr)
    return found[0] if found else "?"


def _which(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def _mappings(port: int, application: int, setup: Setup) -> str:
    """The part of the configuration that is httpd's and ours alike, word for word."""
    reuse = f"enablereuse={'on' if setup.reuse else 'off'}"
    url = f'"fcgi://127.0.0.1:{application}/" {reuse}'
    lines = [f'ProxyPass "/route-{number}/" {url}' for number in range(setup.routes)]
    if setup.members:
        lines += [
            '<Proxy "balancer://application">',
            *(
                f'    BalancerMember "fcgi://127.0.0.1:{application}/{number:04}" {reuse}'
                for number in range(setup.members)
            ),
            "</Proxy>",
        ]
        url = '"balancer://application/"'
    lines.append(f'ProxyPass "/" {url}')
    if not setup.hosts:
        return "\n".join(lines) + "\n"
    names = [f"host-{number}.example" for number in range(setup.hosts)]
    body = "\n".join(f"    {line}" for line in lines)
    return "".join(
        f"<VirtualHost 127.0.0.1:{port}>\n    ServerName {name}\n{body}\n</VirtualHost>\n"
        for name in (*names, "127.0.0.1")
    )


class TwistedFCGI(Proxy):
    """The program of this project."""

    name = "twisted_fcgi"

    @classmethod
    def program(cls) -> str | None:
        twistd = Path(sys.executable).with_name("twistd")
        return str(twistd) if twistd.exists() else None

    @classmethod
    def version(cls) -> str:
        import twisted

        return f"Python {platform.python_version()}, Twisted {twisted.__version__}"

    def command(self, file: Path) -> list[str]:
        return [self.program() or "", "-n", "--pidfile=", "fcgiproxy", "--config", str(file)]

    def configuration(self, directory: Path, application: int, setup: Setup) -> str:
        return f"""\
Listen 127.0.0.1:{self.port}
ServerName 127.0.0.1
ErrorLog "{directory}/error_log"
LogLevel warn
KeepAlive On
MaxKeepAliveRequests 0
LimitRequestBody 0
{_mappings(self.port, application, setup)}"""


class Apache(Proxy):
    """Apache httpd 2.4 with the event MPM."""

    name = "Apache"
    modules = (
        *("mpm_event", "authz_core", "unixd", "slotmem_shm", "proxy", "proxy_fcgi"),
        *("proxy_balancer", "lbmethod_byrequests"),
    )
    directories = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib/httpd/modules")

    @classmethod
    def program(cls) -> str | None:
        return _which("apache2") or _which("httpd")

    @classmethod
    def version(cls) -> str:
        return _versionOf([cls.program() or "", "-v"])

    def command(self, file: Path) -> list[str]:
        return [self.program() or "", "-DFOREGROUND", "-f", str(file)]

    def configuration(self, directory: Path, application: int, setup: Setup) -> str:
        threads = 64
        children = max(2, -(-setup.concurrency // threads) + 1)
        modules = next(d for d in self.directories if Path(d, "mod_proxy_fcgi.so").exists())
        lines = [
            f'LoadModule {name}_module "{modules}/mod_{name}.so"'
            for name in self.modules
            if Path(modules, f"mod_{name}.so").exists()
        ]
        if os.geteuid() == 0:
            lines += ["User nobody", "Group #65534"]
        lines.append(f"""\
ServerRoot "{directory}"
DefaultRuntimeDir "{directory}"
PidFile "{directory}/pid"
Listen 127.0.0.1:{self.port}
ServerName 127.0.0.1
ErrorLog "{directory}/error_log"
LogLevel warn
KeepAlive On
MaxKeepAliveRequests 0
LimitRequestBody 0
ListenBacklog 4096
ServerLimit {children}
StartServers {children}
ThreadsPerChild {threads}
MaxRequestWorkers {children * threads}
MinSpareThreads 1
MaxSpareThreads {children * threads}
{_mappings(self.port, application, setup)}""")
        return "\n".join(lines)


class Nginx(Proxy):
    """nginx with one worker."""

    name = "nginx"
    params = (
        "QUERY_STRING $query_string", "REQUEST_METHOD $request_method",
        "CONTENT_TYPE $content_type", "CONTENT_LENGTH $content_length",
        "SCRIPT_NAME $fastcgi_script_name", "SCRIPT_FILENAME $document_root$fastcgi_script_name",
        "REQUEST_URI $request_uri", "DOCUMENT_URI $document_uri", "DOCUMENT_ROOT $document_root",
        "SERVER_PROTOCOL $server_protocol", "REQUEST_SCHEME $scheme",
        "GATEWAY_INTERFACE CGI/1.1", "SERVER_SOFTWARE nginx/$nginx_version",
        "REMOTE_ADDR $remote_addr", "REMOTE_PORT $remote_port", "SERVER_ADDR $server_addr",
        "SERVER_PORT $server_port", "SERVER_NAME $server_name",
    )  # fmt: skip

    @classmethod
    def program(cls) -> str | None:
        return _which("nginx")

    @classmethod
    def version(cls) -> str:
        return _versionOf([cls.program() or "", "-v"])

    def command(self, file: Path) -> list[str]:
        return [self.program() or "", "-p", str(file.parent), "-c", str(file)]

    def configuration(self, directory: Path, application: int, setup: Setup) -> str:
        params = "\n".join(f"      fastcgi_param {param};" for param in self.params)
        paths = "\n".join(
            f"  {kind}_temp_path {directory}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        passed = f"""\
      fastcgi_pass application;
      fastcgi_keep_conn {"on" if setup.reuse else "off"};
      fastcgi_request_buffering off;
      fastcgi_max_temp_file_size 0;
{params}"""
        locations = "\n".join(
            f"    location {path} {{\n{passed}\n    }}"
            for path in (*(f"/route-{number}/" for number in range(setup.routes)), "/")
        )
        servers = "\n".join(
            f"""\
  server {{
    listen 127.0.0.1:{self.port} {"backlog=4096" if name == "127.0.0.1" else ""};
    server_name {name};
    client_max_body_size 0;
{locations}
  }}"""
            for name in (*(f"host-{number}.example" for number in range(setup.hosts)), "127.0.0.1")
        )
        members = f"server 127.0.0.1:{application};\n" * max(1, setup.members)
        return f"""\
daemon off;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/error_log warn;
events {{ worker_connections {setup.concurrency * 11 // 5 + 500}; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
{paths}
  upstream application {{
    {members}
    {"keepalive 1024; keepalive_requests 1000000000;" if setup.reuse else ""}
  }}
{servers}
}}
"""


class HAProxy(Proxy):
    """HAProxy with one thread."""

    name = "HAProxy"

    @classmethod
    def program(cls) -> str | None:
        return _which("haproxy")

    @classmethod
    def version(cls) -> str:
        return _versionOf([cls.program() or "", "-v"])

    def command(self, file: Path) -> list[str]:
        return [self.program() or "", "-db", "-f", str(file)]

    def configuration(self, directory: Path, application: int, setup: Setup) -> str:
        members = "\n".join(
            f"  server responder{number} 127.0.0.1:{application} proto fcgi"
            for number in range(max(1, setup.members))
        )
        return f"""\
global
  nbthread 1
  maxconn {max(2000, setup.concurrency + 100)}
defaults
  mode http
  timeout connect 60s
  timeout client 60s
  timeout server 60s
  http-reuse {"always" if setup.reuse else "never"}
frontend front
  bind 127.0.0.1:{self.port} backlog 4096
  default_backend back
backend back
  use-fcgi-app application
{members}
fcgi-app application
  docroot /var/www
  {"option keep-conn" if setup.reuse else "no option keep-conn"}
"""


PROXIES: tuple[type[Proxy], ...] = (TwistedFCGI, Apache, Nginx, HAProxy)
