"""Settings remember the lines that set them."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.config import loads
from twisted_fcgi.settings import Settings

TEXT = """\
ServerName www.test
DocumentRoot /
SetEnv A 1
Timeout 5
<Proxy "fcgi://h:9000/" max=3>
</Proxy>
ProxyPass /a/ \\
    fcgi://h:9000/ \\
    nocanon
<Proxy balancer://b>
    BalancerMember fcgi://h:9001
</Proxy>
<Directory />
    SetHandler proxy:fcgi://h:9002
    <Files x>
        SetEnvIf Host . B C
    </Files>
</Directory>
<VirtualHost *:80>
    ServerName one.test
    LimitRequestBody 7
</VirtualHost>
"""


def withoutPlace(value: Any, where: str = "settings") -> list[str]:
    """Where in settings there is an item that could have a place and has none."""
    if isinstance(value, (tuple, list)):
        return [
            found
            for number, item in enumerate(value)
            for found in withoutPlace(item, f"{where}[{number}]")
        ]
    if isinstance(value, dict):
        return withoutPlace(list(value.values()), where)
    if not is_dataclass(value):
        return []
    found = [where] if getattr(value, "place", None) == "" else []
    for row in fields(value):
        found += withoutPlace(getattr(value, row.name), f"{where}.{row.name}")
    return found


class PlacesTests(SynchronousTestCase):
    """File and number of lines."""

    def setUp(self) -> None:
        self.settings: Settings = loads(TEXT, "site.conf")

    def test_everywhere(self) -> None:
        """Everything that is there because of a line has its place; the main server has no line."""
        self.assertEqual(["settings.main"], withoutPlace(self.settings))

    def test_section(self) -> None:
        """A section's is that of its first line, also inside of another."""
        directory = self.settings.main.sections[2]
        self.assertEqual("site.conf:13", directory.place)
        self.assertEqual("site.conf:15", directory.sections[0].place)

    def test_fields(self) -> None:
        """Fields of a section and of a server have their lines by name; a host takes them over."""
        main, host = self.settings.main, self.settings.hosts[0]
        self.assertEqual("site.conf:14", (main.sections[2].settings.places or {})["handler"])
        self.assertEqual("site.conf:4", main.places["timeout"])
        self.assertEqual(
            ("site.conf:2", "site.conf:20"), (host.places["documentRoot"], host.places["name"])
        )
        self.assertEqual("site.conf:21", (host.directory.places or {})["limitBody"])
        self.assertEqual(("", "site.conf:19"), (main.place, host.place))

    def test_items(self) -> None:
        """What lines add up to has the place of each in it."""
        main = self.settings.main
        self.assertEqual("site.conf:7", main.mappings[0].place)
        self.assertEqual("site.conf:3", (main.directory.environment or ())[0].place)
        inner = main.sections[2].sections[0].settings.conditions or ()
        self.assertEqual(["site.conf:16"], [line.place for line in inner])

    def test_members(self) -> None:
        """A member's is that of the line that described it first, a balancer's likewise."""
        main = self.settings.main
        self.assertEqual(["site.conf:5"], [member.place for member in main.members])
        balancer = main.balancers[0]
        self.assertEqual("site.conf:10", balancer.place)
        self.assertEqual("site.conf:11", balancer.members[0].place)

    def test_equality(self) -> None:
        """Settings are equal wherever they stand."""
        self.assertEqual(self.settings, loads("\n\n" + TEXT, "other.conf"))
