"""A user's history in bytes: the layout, and views of its columns that decode only what is read.

The layout, little-endian: one HEADER, an ELSEWHERE for each other country, and a ROW for each retained payment, sorted by event time and
id. If you change it, change `state.FORMAT`, too.
"""

import struct
from collections.abc import Iterable

HEADER = struct.Struct("<qqqQ2sH")
"""Event time of the latest payment, highest id seen, highest id forgotten, EUR cents spent in all, country of the latest payment, and
the number of other countries."""
ELSEWHERE = struct.Struct("<2sq")
"""Another country, and the event time of the latest payment there."""
ROW = struct.Struct("<qqQ2s?5x")
"""Event time in ms, transaction id, EUR cents spent before it, country, and whether its hour was raised."""
TIME = struct.Struct("<q")
SPENT_MODULUS = 2**64
"""Sums wrap around there. Only their differences mean anything."""

_WORDS = ROW.size // 8
_COUNTRY, _RAISED = 24, 26


def times(rows: bytes) -> memoryview:
    """Event times."""
    return memoryview(rows).cast("q")[0::_WORDS]


def ids(rows: bytes) -> memoryview:
    """Transaction ids."""
    return memoryview(rows).cast("q")[1::_WORDS]


def spent(rows: bytes | bytearray) -> memoryview:
    """EUR cents spent before each payment. Those of a bytearray can be changed."""
    return memoryview(rows).cast("Q")[2::_WORDS]


def with_more_spent(rows: bytes, first: int, cents: int) -> bytes:
    """The rows, with so much more spent before each payment from number `first` on."""
    changed = bytearray(rows)
    sums = spent(changed)
    for number in range(first, len(sums)):
        sums[number] = (sums[number] + cents) % SPENT_MODULUS
    return bytes(changed)


def country(rows: bytes, number: int) -> bytes:
    """The country of a payment."""
    at = number * ROW.size + _COUNTRY
    return rows[at : at + 2]


def not_raised(rows: bytes, first: int, end: int) -> list[int]:
    """Those of the payments from number `first` up to `end - 1` whose hours were not raised."""
    flags = rows[first * ROW.size + _RAISED : end * ROW.size : ROW.size]
    numbers, at = [], flags.find(False)
    while at >= 0:
        numbers.append(first + at)
        at = flags.find(False, at + 1)
    return numbers


def with_raised(rows: bytes, numbers: Iterable[int]) -> bytes:
    """The rows, with the hours of these payments marked as raised."""
    changed = bytearray(rows)
    for number in numbers:
        changed[number * ROW.size + _RAISED] = True
    return bytes(changed)
