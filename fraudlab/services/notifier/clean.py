"""Text that somebody else typed, made harmless for headers and lines: it keeps its letters and emoji, and loses what steers."""

import re
import unicodedata

MAX_LENGTH = 120

DIRECTION = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""Marks that change the direction of the text after them."""

FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"

_STEERING = re.compile(f"[{DIRECTION}]")
_ATOM = r"[^\s@<>()\[\]\\,;:\"\x00-\x20\x7f]+"
_LABEL = r"[^\s@<>()\[\]\\,;:\"_.\x00-\x20\x7f]+"
_MAILBOX = re.compile(rf"{_ATOM}@(?:{_LABEL}\.)+{_LABEL}")


def one_line(text: str) -> str:
    """The text as one line of at most 120 characters, without control characters, line ends and marks of direction."""
    without = _STEERING.sub("", unicodedata.normalize("NFC", text))
    spaced = "".join(" " if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") else each for each in without)
    line = " ".join(spaced.split())
    return line if len(line) <= MAX_LENGTH else line[: MAX_LENGTH - 1] + "…"


def isolated(line: str) -> str:
    """For plain text: a name written from right to left keeps to itself, so the sentence around it stays in order."""
    return f"{FIRST_STRONG_ISOLATE}{line}{POP_ISOLATE}" if line and not line.isascii() else line


def mailbox(address: str) -> str | None:
    """The address as it can be handed to a mail server; None where it is none, such as one with a line end in it."""
    stripped = address.strip()
    return stripped if len(stripped) <= 254 and _MAILBOX.fullmatch(stripped) else None
