"""Order, Allow, Deny: that the new lines let in whom the old ones did."""

from __future__ import annotations

from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from tests.config.test_words import lineOf
from twisted_fcgi.config import loads
from twisted_fcgi.config.oldaccess import newForm
from twisted_fcgi.config.words import splitWords
from twisted_fcgi.expr import RequestContext
from twisted_fcgi.headers import Headers
from twisted_fcgi.message import Address, Request
from twisted_fcgi.routing.access import Decision, decide

__all__ = ["NewFormTests"]

CLIENTS = ("10.1.2.3", "10.1.9.9", "10.9.9.9", "192.0.2.1")

#: What may stand behind ``from``, and whom it means.
WHOM = {
    "": lambda client: False,
    "all": lambda client: True,
    "10.1": lambda client: client.startswith("10.1."),
    "10.1.2.3": lambda client: client == "10.1.2.3",
    "10.1.2.3 192.0.2.0/24": lambda client: client in ("10.1.2.3", "192.0.2.1"),
    "ALL": lambda client: True,
}


def lines(*texts: str) -> list[tuple]:  # type: ignore[type-arg]
    split = [splitWords(lineOf(text)) for text in texts]
    return [(words[0], words[1:]) for words in split]


class NewFormTests(SynchronousTestCase):
    """:func:`newForm`."""

    def letsIn(self, form: list[str], client: str) -> bool:
        """Whether lines of Require let a client in."""
        settings = loads("<Location />\n" + "\n".join(form) + "\n</Location>")
        access = settings.main.sections[0].settings.access
        assert access is not None and access.requirements is not None
        request = Request(b"GET", b"/", Headers([]), client=Address(client.encode(), 1))
        context = RequestContext(request, None)  # type: ignore[arg-type]
        return decide(access.requirements, context) is Decision.GRANTED

    def test_same(self) -> None:
        """For each order and all lists the same clients are let in as by httpd's rule."""
        for order, allowed, denied in product(
            ("", "deny,allow", "allow,deny", "mutual-failure"), WHOM, WHOM
        ):
            texts = [f"Order {order}"] if order else []
            texts += [f"Allow from {allowed}"] if allowed else []
            texts += [f"Deny from {denied}"] if denied else []
            if not texts:
                continue
            form = newForm(lines(*texts))
            for client in CLIENTS:
                isAllowed, isDenied = WHOM[allowed](client), WHOM[denied](client)
                expected = isAllowed and not isDenied
                if order in ("", "deny,allow"):
                    expected = isAllowed or not isDenied
                self.assertEqual(expected, self.letsIn(form, client), (texts, form, client))

    def test_kinds(self) -> None:
        """Addresses, names and variables each become their own line."""
        form = newForm(lines("Order deny,allow", "Deny from all", "allow from a.test ::1 env=X"))
        self.assertEqual(["Require host a.test", "Require ip ::1", "Require env X"], form)
        form = newForm(lines("Order deny,allow", "Deny from all", "Allow from env=!X"))
        self.assertEqual(["Require expr -z reqenv('X')"], form)

    def test_satisfy(self) -> None:
        """Satisfy Any needs a block around these lines and those about users."""
        form = newForm(lines("Deny from all", "Satisfy any"))
        self.assertEqual(["<RequireAny>", "Require all denied"], form[:2])
        self.assertEqual("</RequireAny>", form[-1])
