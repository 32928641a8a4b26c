"""
Header fields, of requests and of responses.

Fields are kept as they came, in their order and case; look-ups are by lower-case name,
through an index that is made when it is first asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, KeysView
from typing import Any

__all__ = ["FRAMING_FIELDS", "SUCCESS_FIELDS", "Headers", "joinedNames"]

#: Of an application's fields those that hold for its own response only (httpd: in
#: ``headers_out``); all others are for an error page in its place, too (``err_headers_out``).
#: Of several of a name the last one counts.
SUCCESS_FIELDS = frozenset(
    (b"content-type", b"location", b"content-range", b"etag", b"last-modified")
)

#: Of a connection and its messages: each connection has its own.
FRAMING_FIELDS = frozenset((b"content-length", b"transfer-encoding", b"connection", b"keep-alive"))

_CONDITIONS = frozenset(
    (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since")
)


def joinedNames(values: Iterable[bytes]) -> bytes:
    """One list of several that hold names, each name once (httpd: ``fixup_vary``)."""
    names: dict[bytes, bytes] = {}
    for value in values:
        for name in value.replace(b",", b" ").split():
            names.setdefault(name.lower(), name)
    return b",".join(names.values())


class Headers:
    """
    Header fields in the order and case in which they came.

    Look-ups are by lower-case name.  Building one costs a list; the index is
    made when it is first asked.

    :ivar pairs: ``(name, value)``; change it only through the methods.
    :ivar kept: what was made of them for an application, and may be needed again; ``None``
        after a change.
    :ivar asked: what routing made of them, likewise.
    :ivar prepared: what :meth:`lines` gives, once they were made, as they are of fields
        that come again and again; ``None`` before, and after a change.
    """

    __slots__ = ("_conditional", "_index", "asked", "kept", "pairs", "prepared")

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.pairs: list[tuple[bytes, bytes]] = list(pairs)
        self._index: dict[bytes, list[bytes]] | None = None
        self.prepared: bytes | None = None
        self.kept: Any = None
        self.asked: Any = None
        self._conditional: bool | None = None

    @classmethod
    def indexed(cls, pairs: list[tuple[bytes, bytes]], index: dict[bytes, list[bytes]]) -> Headers:
        """
        Fields of which a parser made the index already; both are kept, not copied.

        :param index: each field's values by its name in lower case.
        """
        self = cls.__new__(cls)
        self.pairs = pairs
        self._index = index
        self.prepared = self.kept = self.asked = self._conditional = None
        return self

    def copy(self) -> Headers:
        """The same fields; what was made of them is shared until one side is changed."""
        copy: Headers = Headers.__new__(Headers)
        copy.pairs = self.pairs
        copy._index = self._index
        copy.prepared = self.prepared
        copy.kept = copy.asked = copy._conditional = None
        return copy

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.pairs == other.pairs

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({self.pairs!r})"

    def __contains__(self, name: bytes) -> bool:
        index = self._index
        return name in (self._indexed() if index is None else index)

    def _indexed(self) -> dict[bytes, list[bytes]]:
        index = self._index
        if index is None:
            index = self._index = {}
            for name, value in self.pairs:
                index.setdefault(name.lower(), []).append(value)
        return index

    def names(self) -> KeysView[bytes]:
        """The names of all fields in lower case, each once."""
        index = self._index
        return (self._indexed() if index is None else index).keys()

    def getAll(self, name: bytes) -> list[bytes]:
        """
        All values of a field.

        :param name: the name in lower case.
        """
        return self._indexed().get(name, [])

    def get(self, name: bytes) -> bytes | None:
        """
        The value of a field, several joined as RFC 9110 5.3 has it; ``None`` when absent.

        :param name: the name in lower case.
        """
        index = self._index
        values = (self._indexed() if index is None else index).get(name)
        if values is None:
            return None
        return values[0] if len(values) == 1 else b", ".join(values)

    def isConditional(self) -> bool:
        """Whether there are conditions among them (RFC 9110, 13.1)."""
        known = self._conditional
        if known is None:
            known = self._conditional = not self.names().isdisjoint(_CONDITIONS)
        return known

    def lines(self) -> bytes:
        """
        The fields as they are sent, each with its line end.

        :raises ValueError: there is a line end inside a field, which would make it two.
        """
        lines = self.prepared
        if lines is None:
            pairs = self.pairs
            lines = b"".join([b"%b: %b\r\n" % pair for pair in pairs])
            if not len(pairs) == lines.count(b"\n") == lines.count(b"\r"):
                raise ValueError("a header field with a line end inside")
            self.prepared = lines
        return lines

    # A copy may share the list, so it is replaced by a new one.

    def _forget(self) -> None:
        """What was made of the fields does not hold any more."""
        self._index = self.prepared = self.kept = self.asked = self._conditional = None

    def add(self, name: bytes, value: bytes) -> None:
        """Append a field."""
        self.pairs = [*self.pairs, (name, value)]
        self._forget()

    def merge(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        """Add fields; what is there already goes on with a comma, but for cookies."""
        for name, value in fields:
            lower = name.lower()
            known = None if lower == b"set-cookie" else self.get(lower)
            if known is None:
                self.add(name, value)
            else:
                self.set(name, known + b", " + value)

    def set(self, name: bytes, value: bytes) -> None:
        """Replace all fields of that name by one, in the place of the first."""
        lower = name.lower()
        place = next((i for i, (n, _) in enumerate(self.pairs) if n.lower() == lower), None)
        if place is None:
            self.pairs = [*self.pairs, (name, value)]
        else:
            rest = [pair for pair in self.pairs[place + 1 :] if pair[0].lower() != lower]
            self.pairs = [*self.pairs[:place], (name, value), *rest]
        self._forget()

    def vary(self, names: Iterable[bytes]) -> None:
        """Add names of request fields to those that the response varies with."""
        self.set(b"Vary", joinedNames([*self.getAll(b"vary"), *names]))

    def remove(self, name: bytes) -> None:
        """Remove all fields of that name, if any."""
        lower = name.lower()
        self.pairs = [pair for pair in self.pairs if pair[0].lower() != lower]
        self._forget()
