"""
What the proxies are given to do: a row here is a scenario, and nothing else knows them.

The responder and the load generators do the same for all proxies; see their sources
for the targets.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bench.eventdriven import HAProxy, Nginx
from bench.httpd import Apache, Compiled, TwistedFCGI
from bench.proxies import Proxy, Setup
from bench.sites import CompiledResource, HelloWorld, SiteResource

__all__ = ["COMPARISONS", "SCENARIOS", "Comparison", "Scenario", "fitted"]

MEGABYTE = 1 << 20

#: What a browser sends, and what sites add to it, up to 50 fields with Host.
BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.8,de;q=0.5",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Cookie: session=5b1c0f3e9a6d4c2db0a7f1e28c3d4e5f; theme=dark; consent=1",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: same-origin",
)
FIFTY = BROWSER + tuple(
    f"X-Field-Number-{number}: value-{number}-0123456789abcdef" for number in range(40)
)


@dataclass(frozen=True)
class Comparison:
    """
    Who is compared with whom.

    :ivar title: of its part of the report.
    :ivar kinds: all who take part.
    :ivar base: the name of him whose cost is 1 in the chart.
    :ivar ratios: columns with how many times what one uses the other uses.
    """

    title: str
    kinds: tuple[type[Proxy], ...]
    base: str
    ratios: tuple[tuple[str, str], ...]


PROXIES = Comparison(
    "Beside other proxies",
    (TwistedFCGI, Compiled, Apache, Nginx, HAProxy),
    "Apache",
    (("Apache", "twisted_fcgi"), ("Apache", "compiled")),
)
SITES = Comparison(
    "Inside a twisted.web site",
    (SiteResource, CompiledResource, HelloWorld),
    "twisted.web hello world",
    (
        ("FastCGIResource", "twisted.web hello world"),
        ("compiled resource", "twisted.web hello world"),
    ),
)
COMPARISONS = (PROXIES, SITES)


@dataclass(frozen=True)
class Scenario:
    """
    One kind of work.

    :ivar name: short, for the command line.
    :ivar title: for the tables.
    :ivar purpose: what it shows, in a line.
    :ivar goal: what we want to reach: of the first ratio, or of the memory of each
        connection where ``waiting``.
    :ivar connections: of clients.
    :ivar size: bytes of a body, in either direction: cost is then told per MB; 0 for
        cost per request.
    :ivar seconds: how long a turn lasts, as a part of the bench's own duration, or
        ``None`` when ``requests`` ends it.
    :ivar requests: in a turn, or, where ``seconds`` are said too, in one of that duration:
        over TLS, a number ends each turn.
    :ivar rate: connections begun in a second; ``None`` for all at once.
    :ivar idle: seconds for which each connection stays open after its one request.
    :ivar streams: of HTTP/2, at a time on each connection; 0 for HTTP/1.1.
    :ivar rounds: turns of each proxy; ``None`` for the bench's own number.
    :ivar memory: whether memory is looked at all the time.
    :ivar without: proxies that can't do it.
    """

    name: str
    title: str
    target: str
    purpose: str
    goal: str = ""
    connections: int = 32
    seconds: float | None = 1.0
    requests: int | None = None
    body: int = 0
    size: int = 0
    fresh: bool = False
    rate: float | None = None
    idle: float | None = None
    streams: int = 0
    fields: tuple[str, ...] = ()
    setup: Setup = field(default_factory=Setup)
    comparison: Comparison = PROXIES
    rounds: int | None = None
    memory: bool = False
    without: tuple[str, ...] = ()

    @property
    def waiting(self) -> bool:
        """Whether it is about connections that wait."""
        return self.memory and not self.size


def _slow(
    connections: int, seconds: int, title: str, goal: str = "", rate: float | None = None
) -> Scenario:
    return Scenario(
        f"slow{connections}", title, f"/delay/{seconds * 1000}",
        "What a request costs that waits for the application, most of all in memory.", goal,
        connections=connections, seconds=None, requests=connections, rate=rate, memory=True,
        rounds=1,
    )  # fmt: skip


SCENARIOS = (
    Scenario(
        "small", "GET, 100 bytes, keep-alive on both sides", "/bytes/100",
        "The path itself: what every request pays.", "3.0",
    ),
    Scenario(
        "multiplexed", "the same, multiplexed", "/bytes/100",
        "Many requests at a time on few connections to the application; Apache and nginx can't,"
        " and do as above.", "4.0", setup=Setup(multiplex=True),
    ),
    Scenario(
        "browser", "GET with a browser's 10 header fields", "/bytes/100",
        "What the path costs with the fields that real clients send.", fields=BROWSER,
    ),
    Scenario(
        "fifty", "GET with 50 header fields", "/bytes/100",
        "Each field becomes a variable of the application.", "2.5", fields=FIFTY,
    ),
    Scenario(
        "routes", "GET behind 1,000 ProxyPass lines", "/bytes/100",
        "Whether a large configuration is slower than a small one: ours should cost at most 1.1"
        " times what it costs in the first row.", setup=Setup(routes=1000), without=("HAProxy",),
    ),
    Scenario(
        "hosts", "GET from the last of 200 virtual hosts", "/bytes/100",
        "The same for hosts.", setup=Setup(hosts=199), without=("HAProxy",),
    ),
    Scenario(
        "two", "GET from a balancer of 2", "/bytes/100",
        "The choice of a member.", setup=Setup(members=2),
    ),
    Scenario(
        "thousand", "GET from a balancer of 1,000", "/bytes/100",
        "Whether that choice depends on their number.", setup=Setup(members=1000),
    ),
    Scenario(
        "php", "GET / of a PHP site: an index file, SetHandler", "/",
        "Files are looked at before the application is asked, at a Unix socket.",
        setup=Setup(site="php"), without=("HAProxy",),
    ),
    Scenario(
        "wordpress", "GET of a WordPress page: RewriteRule to index.php", "/blog/hello-world/",
        "The rules that WordPress writes, with their conditions on files.",
        setup=Setup(site="wordpress"), without=("HAProxy",),
    ),
    Scenario(
        "tls", "GET over TLS 1.3, kept connections", "/bytes/100",
        "The same certificate (P-256) and cipher (AES-128-GCM) for all; 16 handshakes in a turn.",
        connections=16, requests=16000, setup=Setup(tls=True),
    ),
    Scenario(
        "freshclient", "GET, a client's connection each", "/bytes/100",
        "Clients that come once; connections to the application are kept.", "1.3", fresh=True,
    ),
    Scenario(
        "noreuse", "GET, a connection to the application each", "/bytes/100",
        "Applications whose connections can't be kept, as by httpd's defaults.",
        setup=Setup(reuse=False),
    ),
    Scenario(
        "fresh", "GET, fresh connections on both sides", "/bytes/100",
        "Both at once.", "1.3", fresh=True, setup=Setup(reuse=False),
    ),
    Scenario(
        "down", "GET, 1 MB", f"/bytes/{MEGABYTE}",
        "How responses stream.", "1.5", connections=8, size=MEGABYTE,
    ),
    Scenario(
        "down8k", "GET, 1 MB in records of 8 KB", f"/bytes/{MEGABYTE}?record=8184",
        "The same from an application that writes as PHP does.", connections=8, size=MEGABYTE,
    ),
    Scenario(
        "down100", "GET, 100 MB", f"/bytes/{100 * MEGABYTE}",
        "Memory stays flat.", "1.5", connections=1, seconds=None, requests=4,
        size=100 * MEGABYTE, memory=True,
    ),
    Scenario(
        "up", "POST, 1 MB", "/upload",
        "How uploads stream.", "1.5", connections=8, body=MEGABYTE, size=MEGABYTE,
    ),
    Scenario(
        "up100", "POST, 100 MB", "/upload",
        "Memory stays flat.", "1.5", connections=1, seconds=None, requests=4,
        body=100 * MEGABYTE, size=100 * MEGABYTE, memory=True,
    ),
    _slow(1, 1, "1 request that takes 1 s"),
    _slow(100, 1, "100 requests at a time that take 1 s each"),
    _slow(10000, 6, "{connections:,} requests at a time that take 6 s each", "12 KB", 2500),
    Scenario(
        "idle", "{connections:,} idle clients", "/bytes/100",
        "Kept connections of clients that ask for nothing.", connections=10000, seconds=None,
        rate=2500, idle=1.0, rounds=1, memory=True,
    ),
    Scenario(
        "site", "GET from a twisted.web site, HTTP/1.1", "/bytes/100",
        "What the resource adds to the site in which it is put.", "1.5", comparison=SITES,
    ),
    Scenario(
        "site2", "the same, HTTP/2 over TLS", "/bytes/100",
        "8 connections with 4 streams at a time.", "1.5", comparison=SITES, connections=8,
        requests=2000, streams=4, setup=Setup(tls=True),
    ),
)  # fmt: skip

#: Files that a proxy has open beside its connections.
OTHER_FILES = 200


def fitted(scenario: Scenario, files: int) -> Scenario:
    """
    A scenario with as many connections as a limit on open files allows: two each.

    :param files: how many a process may have open.
    """
    number = min(scenario.connections, (files - OTHER_FILES) // 2)
    possible = replace(
        scenario, connections=number, title=scenario.title.format(connections=number)
    )
    if scenario.idle:
        return replace(possible, setup=replace(scenario.setup, idle=number))
    if scenario.waiting:
        concurrency = max(number, scenario.setup.concurrency)
        setup = replace(scenario.setup, concurrency=concurrency)
        return replace(possible, requests=number, setup=setup)
    return possible
