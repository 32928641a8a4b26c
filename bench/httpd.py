"""
twisted_fcgi and Apache httpd: the same configuration, word for word, where it counts.

Ours is one process with one thread, as it comes; Apache's threads are there before the
first request, as many as the scenario needs.  No access log, no limit on the requests of
a connection, no ``.htaccess`` files.
"""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from pathlib import Path

from bench.proxies import ROOT, Proxy, Setup, versionOf, which

__all__ = ["Apache", "Compiled", "TwistedFCGI"]

#: What WordPress writes into its ``.htaccess``.
WORDPRESS = r"""
    RewriteEngine On
    RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]
    RewriteBase /
    RewriteRule ^index\.php$ - [L]
    RewriteCond %{REQUEST_FILENAME} !-f
    RewriteCond %{REQUEST_FILENAME} !-d
    RewriteRule . /index.php [L]"""


class _HTTPD(Proxy):
    """Who speaks httpd's language."""

    def common(self) -> str:
        """What both are told."""
        return f"""\
ServerName 127.0.0.1
ErrorLog "{self.directory}/error_log"
LogLevel warn
KeepAlive On
KeepAliveTimeout 60
MaxKeepAliveRequests 0
LimitRequestBody 0
{self._site() if self.setup.site else self._mappings()}"""

    def _site(self) -> str:
        application = "fcgi://localhost/"
        return f"""\
DocumentRoot "{self.root}"
DirectoryIndex index.php index.html
<Proxy "{application}" enablereuse=on>
</Proxy>
<FilesMatch "\\.php$">
    SetHandler "proxy:unix:{self.responder.socket}|{application}"
</FilesMatch>
<Directory "{self.root}">
    AllowOverride None
    Require all granted{WORDPRESS if self.setup.site == "wordpress" else ""}
</Directory>
"""

    def _parameters(self, setup: Setup) -> str:
        return f"enablereuse={'on' if setup.reuse else 'off'}"

    def _mappings(self) -> str:
        setup, application = self.setup, f"fcgi://127.0.0.1:{self.responder.port}/"
        parameters = self._parameters(setup)
        url = f'"{application}" {parameters}'
        lines = [f'ProxyPass "/route-{number}/" {url}' for number in range(setup.routes)]
        if setup.members:
            lines += [
                '<Proxy "balancer://application">',
                *(
                    f'    BalancerMember "{application}{number:04}" {parameters}'
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
            f"<VirtualHost 127.0.0.1:{self.port}>\n    ServerName {name}\n{body}\n</VirtualHost>\n"
            for name in (*names, "127.0.0.1")
        )


class TwistedFCGI(_HTTPD):
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

    def _parameters(self, setup: Setup) -> str:
        return super()._parameters(setup) + (" multiplex=on" if setup.multiplex else "")

    def configuration(self) -> str:
        where = f"127.0.0.1:{self.port}"
        if self.setup.tls:
            pem = self.certificate
            where = f'"ssl:{self.port}:interface=127.0.0.1:privateKey={pem}:certKey={pem}"'
        return f"Listen {where}\n{self.common()}"


class Compiled(TwistedFCGI):
    """The same, compiled by ``make native``; there when that is not older than the sources."""

    name = "compiled"
    path = ROOT / "build" / "native"

    @classmethod
    def program(cls) -> str | None:
        return super().program() if _compiled(cls.path) else None

    @classmethod
    def version(cls) -> str:
        return "the same, its hot path compiled by Cython (make native)"


@cache
def _compiled(path: Path) -> bool:
    """Whether a compiled package is there and not older than the sources."""

    def changed(root: Path) -> float:
        return max(file.stat().st_mtime for file in (root / "twisted_fcgi").rglob("*.[ps][yo]"))

    if not any(path.glob("twisted_fcgi/**/*.so")):
        return False
    if changed(path) < changed(ROOT):
        print("build/native is older than the sources, and is left out: make native")
        return False
    return True


class Apache(_HTTPD):
    """Apache httpd 2.4 with the event MPM."""

    name = "Apache"
    modules: tuple[str, ...] = (
        *("mpm_event", "authz_core", "unixd", "slotmem_shm", "proxy", "proxy_fcgi"),
        *("proxy_balancer", "lbmethod_byrequests"),
    )
    siteModules = ("dir", "rewrite")
    directories = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib/httpd/modules")

    @classmethod
    def program(cls) -> str | None:
        return which("apache2") or which("httpd")

    @classmethod
    def version(cls) -> str:
        return versionOf([cls.program() or "", "-v"]) + ", event MPM"

    def command(self, file: Path) -> list[str]:
        return [self.program() or "", "-DFOREGROUND", "-f", str(file)]

    def configuration(self) -> str:
        threads = 64 if self.setup.concurrency < 5000 else 512
        children = max(2, -(-self.setup.concurrency // threads) + 1)
        modules = next(d for d in self.directories if Path(d, "mod_proxy_fcgi.so").exists())
        wanted = self.modules
        if self.setup.site:
            wanted += self.siteModules
        if self.setup.tls:
            wanted += ("ssl",)
        lines = [
            f'LoadModule {name}_module "{modules}/mod_{name}.so"'
            for name in wanted
            if Path(modules, f"mod_{name}.so").exists()
        ]
        if os.geteuid() == 0:
            lines += ["User nobody", "Group #65534"]
        lines.append(f"Listen 127.0.0.1:{self.port}")
        if self.setup.tls:
            lines[-1] += " https"
            lines += ["SSLEngine on", f'SSLCertificateFile "{self.certificate}"']
        lines.append(f"""\
ServerRoot "{self.directory}"
DefaultRuntimeDir "{self.directory}"
PidFile "{self.directory}/pid"
ListenBacklog 4096
ServerLimit {children}
StartServers {children}
ThreadLimit {threads}
ThreadsPerChild {threads}
MaxRequestWorkers {children * threads}
MinSpareThreads 1
MaxSpareThreads {children * threads}
AsyncRequestWorkerFactor {max(2, self.setup.idle // threads)}
{self.common()}""")
        return "\n".join(lines)
