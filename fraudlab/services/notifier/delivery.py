"""How a delivery can fail, and when it is tried again."""

import random
from http import HTTPStatus

from fraudlab.services.notifier.untrusted_text import one_line

FIRST_PAUSE_S = 1.0
_chance = random.Random()

SMTP_LOG_IN = {530, 534, 535, 538}
"""Replies of RFC 4954 that say that we are not logged in, whatever the message."""

HTTP_MAY_PASS = {HTTPStatus.UNAUTHORIZED, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
"""What a 4xx may be that is not the message's fault: 401 is our own account, which an operator can put right."""


class RefusedError(Exception):
    """The message will never be taken; its text is the server's reason."""


class NotNowError(Exception):
    """The message may be taken later.

    `server_away`: the server takes none at all at the moment, this one or another. `destination_away`: it went silent or hung up over
    this message, perhaps because of where it goes to.
    """

    def __init__(self, reason: str, *, server_away: bool = False, destination_away: bool = False) -> None:
        super().__init__(reason)
        self.server_away, self.destination_away = server_away, destination_away


def of_smtp(code: int, text: bytes | str, what: str) -> RefusedError | NotNowError:
    """What an SMTP reply to a message means (RFC 5321, 4.2.1): 5xx is for good, 4xx for now, 421 for this connection.

    5xx that are about our log-in are for now: an operator can put that right.
    """
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    reason = f"{what}: {code} {one_line(words)}"
    if 500 <= code <= 599 and code not in SMTP_LOG_IN:
        return RefusedError(reason)
    return NotNowError(reason, server_away=code == 421 or code in SMTP_LOG_IN)


def of_http(code: int, text: str, what: str) -> RefusedError | NotNowError:
    """What an HTTP status other than 2xx means: 4xx is for good, but for 401, 408 and 429; anything else is for now."""
    reason = f"{what}: {code} {one_line(text)}"
    if 400 <= code <= 499 and code not in HTTP_MAY_PASS:
        return RefusedError(reason)
    return NotNowError(reason, server_away=True)


def pause_s(attempts: int, longest_s: float, chance: random.Random | None = None) -> float:
    """How long to wait after so many attempts: 1 s, 2 s, 4 s, … up to `longest_s`, and at random up to a quarter less.

    So what failed together is not tried again all at the same moment.
    """
    doubled = FIRST_PAUSE_S * float(2 ** min(attempts - 1, 30))
    return min(longest_s, doubled) * (1 - (chance or _chance).random() / 4)
