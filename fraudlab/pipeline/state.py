"""The detector's state of one user as bytes that only describe data: Flink's own pickled state would run code when it is read.

Layout: the byte FORMAT, the length of the history as 4 bytes (little-endian), the history (`history_layout`), and the activities
that wait for a profile as a JSON array, or nothing where none wait.
"""

import struct
from collections.abc import Sequence
from typing import Any

import msgspec
from pyflink.common.typeinfo import TypeInformation

from fraudlab.pipeline.records import PendingActivity, encode

USER = "user"
"""The name of the state."""
FORMAT = 2
"""Another number for each layout, of the history too. What is pickled begins with 0x80. `java/PaymentsAtHome.java` knows the layout of
the format that it names, and leaves every other one to Python."""
_HEADER = struct.Struct("<BI")

Waiting = tuple[int, str, str, PendingActivity]
"""An activity that waits for its user's profile: since when (processing time, ms), partition and offset of the record with which it
became known, and what is to be raised."""
_decode_waiting = msgspec.json.Decoder(list[Waiting]).decode


class UnknownStateError(Exception):
    """State that another version of the detector wrote, or something else."""


class Bytes(TypeInformation):  # type: ignore[misc] # PyFlink is untyped
    """The type of a state that holds bytes, in thread mode. PyFlink stores and returns them as they are.

    It has no such type: of `Types.PICKLED_BYTE_ARRAY`, rows and tuples it pickles the values, and `PRIMITIVE_ARRAY` it converts byte
    by byte. A type that it does not know is an array of bytes for the JVM, and needs no conversion in Python.
    """


class UserState:
    """Flink's keyed state of a user, as a pair of the history and the activities that wait for the user's profile."""

    def __init__(self, state: Any) -> None:
        self._state = state

    def value(self) -> Any:
        """The pair, `(bytes, Sequence[Waiting])`; None for a user who is new. Raises UnknownStateError."""
        stored = self._state.value()
        if stored is None:
            return None
        if stored[0] != FORMAT:
            raise UnknownStateError(
                "The detector's state has a form that this version does not read, so the job cannot continue from it. "
                "`fraudlab reset` starts from empty data."
            )
        end = _HEADER.size + _HEADER.unpack_from(stored)[1]
        waiting = _decode_waiting(stored[end:]) if len(stored) > end else ()
        return stored[_HEADER.size : end], waiting

    def update(self, pair: tuple[bytes, Sequence[Waiting]]) -> None:
        """Stores a pair."""
        history, waiting = pair
        rest = encode(waiting) if waiting else b""
        self._state.update(_HEADER.pack(FORMAT, len(history)) + history + rest)
