"""Subnets: who is in one, and what is none."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.subnets import parseSubnet

__all__ = ["SubnetTests"]

#: A subnet, addresses in it, addresses that are not.
SUBNETS = (
    ("10.1.2.3", ["10.1.2.3", "::ffff:10.1.2.3"], ["10.1.2.4", "::10.1.2.3"]),
    ("10", ["10.0.0.0", "10.255.255.255"], ["11.0.0.0", "9.255.255.255"]),
    ("10.1.", ["10.1.0.1"], ["10.2.0.1", "110.1.0.1"]),
    ("010.1.2", ["10.1.2.0"], ["8.1.2.0"]),
    ("10.1.2.3/8", ["10.9.9.9"], ["11.1.2.3"]),
    ("10.1.2.3/032", ["10.1.2.3"], ["10.1.2.2"]),
    ("10.0.0.0/255.0.255.0", ["10.77.0.1"], ["10.77.1.1"]),
    ("0.0.0.5/0.0.0.255", ["1.2.3.5"], ["1.2.3.4"]),
    ("::1", ["::1", "0:0::1"], ["::2", "0.0.0.1"]),
    ("2001:db8::/32", ["2001:db8:1::", "2001:db8::1%eth0"], ["2001:db9::", "32.1.13.184"]),
)

WRONG = (
    *("", "ten", "10.1.2.3.4", "10.1.2.256", "300", "1..2", ".10", "10.1/16", "[::1]", "::g"),
    *("10.0.0.0/0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8#", "10.0.0.0/²"),
    *("::/0", "::/129", "2001:db8::/255.0.0.0", "::ffff:10.0.0.1", "fe80::1%lo", "10.0.0.0/8/8"),
)


class SubnetTests(SynchronousTestCase):
    """:func:`parseSubnet`."""

    def test_contains(self) -> None:
        """A subnet has the addresses that are equal in its mask's bits, and no others."""
        for text, inside, outside in SUBNETS:
            subnet = parseSubnet(text)
            for address in inside:
                self.assertTrue(subnet.contains(address.encode()), (text, address))
            for address in outside:
                self.assertFalse(subnet.contains(address.encode()), (text, address))

    def test_noAddress(self) -> None:
        """What is no address is in no subnet: a UNIX socket's client, a name, other bytes."""
        for address in (b"", b"localhost", b"\xff", b"10.1", b"10.1.2.3 "):
            self.assertFalse(parseSubnet("10").contains(address), address)

    def test_wrong(self) -> None:
        """What httpd does not take for a subnet is a mistake."""
        for text in WRONG:
            with self.assertRaises(ValueError, msg=text):
                parseSubnet(text)
