"""
Subnets as httpd's configuration has them (``apr_ipsubnet_create``).

``10.1.2.3``, ``10.1`` (what begins so), ``10.1.0.0/16``, ``10.1.0.0/255.255.0.0``,
``2001:db8::/32``.  A mask need not be contiguous, and has to have at least one bit:
"everybody" is spelled another way.  An IPv4 address that came as IPv6
(``::ffff:10.1.2.3``) is an IPv4 address.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Subnet", "parseSubnet"]

#: Clients' addresses of which the number is remembered.
MAX_ADDRESSES = 1024

_MAPPED = 0xFFFF << 32

#: What begins an IPv4 address, also with all four numbers and a dot.
_BEGIN = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){0,3}\.?", re.ASCII)


class Subnet(NamedTuple):
    """
    Addresses that are equal in the bits of a mask.

    :ivar version: 4 or 6.
    """

    version: int
    value: int
    mask: int

    def contains(self, address: bytes) -> bool:
        """Whether an address is one of them; what is no address is not."""
        number = _number(address)
        return (
            number is not None
            and number[0] == self.version
            and number[1] & self.mask == self.value
        )


@lru_cache(MAX_ADDRESSES)
def _number(text: bytes) -> tuple[int, int] | None:
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        return None
    number = int(address)
    if address.version == 6 and number >> 32 == 0xFFFF:
        return 4, number - _MAPPED
    return address.version, number


def parseSubnet(text: str) -> Subnet:
    """
    Read a subnet.

    :raises ValueError: when it is none, with what is wrong.
    """
    head, slash, tail = text.partition("/")
    try:
        address = ipaddress.ip_address(head)
        version, value = address.version, int(address)
    except ValueError:
        return _parseBegin(text)
    if "%" in head or (version == 6 and value >> 32 == 0xFFFF):
        raise ValueError(f"{text!r} is an address that no client has")
    bits = 32 if version == 4 else 128
    mask = (1 << bits) - 1
    if slash:
        if tail.isascii() and tail.isdigit() and 0 < int(tail[:9]) <= bits:
            mask ^= (1 << (bits - int(tail))) - 1
        elif version == 4:
            mask = _parseMask(text, tail)
        else:
            raise ValueError(f"the mask of {text!r} is wrong: 1 to {bits} bits")
    return Subnet(version, value & mask, mask)


def _parseMask(text: str, mask: str) -> int:
    try:
        return int(ipaddress.IPv4Address(mask))
    except ValueError:
        pass
    raise ValueError(f"the mask of {text!r} is wrong: 1 to 32 bits, or as 255.255.0.0")


def _parseBegin(text: str) -> Subnet:
    if _BEGIN.fullmatch(text):
        numbers = [int(part) for part in text.rstrip(".").split(".")]
        if max(numbers) < 256:
            missing = 8 * (4 - len(numbers))
            mask = (1 << 32) - (1 << missing)
            return Subnet(4, int.from_bytes(bytes(numbers), "big") << missing, mask)
    raise ValueError(f"{text!r} is no address or subnet")
