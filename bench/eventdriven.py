"""
nginx and HAProxy, each as one process that works, with one thread.

No access log, no limit on the requests of a connection, bodies passed on as they come.
"""

from __future__ import annotations

from pathlib import Path

from bench.proxies import Proxy, versionOf, which

__all__ = ["HAProxy", "Nginx"]


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
        return which("nginx")

    @classmethod
    def version(cls) -> str:
        return versionOf([cls.program() or "", "-v"]) + ", one worker"

    def command(self, file: Path) -> list[str]:
        return [self.program() or "", "-p", str(file.parent), "-c", str(file)]

    def _locations(self) -> str:
        params = "\n".join(f"      fastcgi_param {param};" for param in self.params)
        passed = f"""\
      fastcgi_pass application;
      fastcgi_keep_conn {"on" if self.setup.reuse else "off"};
      fastcgi_request_buffering off;
      fastcgi_max_temp_file_size 0;
{params}"""
        if not self.setup.site:
            paths = (*(f"/route-{number}/" for number in range(self.setup.routes)), "/")
            return "\n".join(f"    location {path} {{\n{passed}\n    }}" for path in paths)
        missing = "/index.php?$args" if self.setup.site == "wordpress" else "=404"
        return f"""\
    root {self.root};
    index index.php index.html;
    location / {{ try_files $uri $uri/ {missing}; }}
    location ~ \\.php$ {{
{passed}
    }}"""

    def _servers(self) -> str:
        names = (*(f"host-{number}.example" for number in range(self.setup.hosts)), "127.0.0.1")
        locations = self._locations()
        tls = certificate = ""
        if self.setup.tls:
            tls, pem = "ssl", self.certificate
            certificate = f"    ssl_certificate {pem};\n    ssl_certificate_key {pem};\n"
            certificate += "    ssl_protocols TLSv1.3;\n"
        return "\n".join(
            f"""\
  server {{
    listen 127.0.0.1:{self.port} {tls} {"backlog=4096" if name == "127.0.0.1" else ""};
    server_name {name};
    client_max_body_size 0;
{certificate}{locations}
  }}"""
            for name in names
        )

    def configuration(self) -> str:
        directory, setup, responder = self.directory, self.setup, self.responder
        address = f"unix:{responder.socket}" if setup.site else f"127.0.0.1:{responder.port}"
        paths = "\n".join(
            f"  {kind}_temp_path {directory}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        members = f"    server {address};\n" * max(1, setup.members)
        return f"""\
daemon off;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/error_log warn;
events {{ worker_connections {max(setup.concurrency, setup.idle) * 11 // 5 + 500}; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
{paths}
  upstream application {{
{members}
    {"keepalive 1024; keepalive_requests 1000000000;" if setup.reuse else ""}
  }}
{self._servers()}
}}
"""


class HAProxy(Proxy):
    """HAProxy with one thread."""

    name = "HAProxy"

    @classmethod
    def program(cls) -> str | None:
        return which("haproxy")

    @classmethod
    def version(cls) -> str:
        return versionOf([cls.program() or "", "-v"]) + ", one thread"

    def command(self, file: Path) -> list[str]:
        return [self.program() or "", "-db", "-f", str(file)]

    def configuration(self) -> str:
        setup = self.setup
        members = "\n".join(
            f"  server responder{number} 127.0.0.1:{self.responder.port} proto fcgi"
            for number in range(max(1, setup.members))
        )
        multiplex = "  option mpxs-conns\n  option max-reqs 256\n" if setup.multiplex else ""
        tls = f"ssl crt {self.certificate}" if setup.tls else ""
        return f"""\
global
  nbthread 1
  maxconn {max(2000, max(setup.concurrency, setup.idle) + 50)}
defaults
  mode http
  timeout connect 60s
  timeout client 60s
  timeout server 60s
  http-reuse {"always" if setup.reuse else "never"}
frontend front
  bind 127.0.0.1:{self.port} backlog 4096 {tls}
  default_backend back
backend back
  use-fcgi-app application
{members}
fcgi-app application
  docroot /var/www
  {"option keep-conn" if setup.reuse else "no option keep-conn"}
{multiplex}"""
