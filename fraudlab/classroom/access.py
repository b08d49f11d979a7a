"""The class code, and how many wrong ones may be tried."""

import secrets
from hmac import compare_digest

LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that look alike on a projector: i, l, o, 0, 1."""
GROUPS, GROUP_LENGTH = 3, 4
SHORTEST = 8
"""Letters and digits of a code that an instructor chooses."""

WRONG_OF_A_NAME = 10
WRONG_OF_AN_ADDRESS = 60
"""Within a minute. A whole class may be behind one address, and everybody mistypes the code once or twice."""


def make_code() -> str:
    """A new class code, such as `k7mq-2xfd-9hwn`: 59 bits, and easy to copy from a projector."""
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(GROUP_LENGTH)) for _ in range(GROUPS))


def is_code(typed: str, code: str) -> bool:
    """Whether somebody typed the code; capitals, spaces and hyphens don't matter."""
    return compare_digest(plain(typed).encode(), plain(code).encode())


def plain(code: str) -> str:
    """A code without what doesn't matter in it."""
    return "".join(letter for letter in code.casefold() if letter.isalnum())
