"""Text that somebody else typed, made harmless for headers and lines: it keeps its letters and emoji, and loses what steers."""

import re
import unicodedata

import idna

MAX_LENGTH = 120
MAX_ADDRESS, MAX_LOCAL_PART = 254, 64
"""RFC 5321, 4.5.3.1, in bytes."""

FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"

_SPACES = ("Cc", "Cs", "Zl", "Zp")
_JOINERS = "\u200c\u200d"
"""The only invisible marks that a name needs: in Persian and Indic scripts, and between the parts of an emoji."""

_ATOM = r"[^\s@<>()\[\]\\,;:\"\x00-\x20\x7f]+"
_QUOTED = r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])+"'
_DOT_ATOM = re.compile(r"[^.]+(?:\.[^.]+)*")
_MAILBOX = re.compile(rf"({_ATOM}|{_QUOTED})@([^@\s]+\.[^@\s]+)")


def one_line(text: str) -> str:
    """The text as one line of at most 120 characters, without control characters, line ends and invisible marks."""
    composed = unicodedata.normalize("NFC", text)
    line = " ".join("".join(map(_harmless, composed)).split())
    return line if len(line) <= MAX_LENGTH else line[: MAX_LENGTH - 1] + "…"


def _harmless(character: str) -> str:
    category = unicodedata.category(character)
    if category in _SPACES:
        return " "
    return "" if category == "Cf" and character not in _JOINERS else character


def isolated(line: str) -> str:
    """For plain text: a name written from right to left keeps to itself, so the sentence around it stays in order."""
    return f"{FIRST_STRONG_ISOLATE}{line}{POP_ISOLATE}" if line and not line.isascii() else line


def mailbox(address: str) -> str | None:
    """The address as it can be handed to a mail server; None where it is none, such as one with a line end in it.

    An international domain is in the form that every server takes (`xn--…`). A local part keeps its letters: one that is not ASCII
    needs a server with SMTPUTF8.
    """
    found = _MAILBOX.fullmatch(address.strip())
    if found is None:
        return None
    local, domain = found.groups()
    if len(local.encode("utf-8", "replace")) > MAX_LOCAL_PART or not (local[0] == '"' or _DOT_ATOM.fullmatch(local)):
        return None
    if any(unicodedata.category(one) in (*_SPACES, "Cf") for one in local):
        return None
    try:
        ready = f"{local}@{idna.encode(domain, uts46=True).decode('ascii')}"
    except (idna.IDNAError, UnicodeError):
        return None
    return ready if len(ready.encode()) <= MAX_ADDRESS and not ready.endswith(".") else None
