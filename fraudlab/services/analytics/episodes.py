"""Episodes of accounts: who is stopped, and how long after the fraud's commit the first payment was refused."""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field

ACTIVITIES_KEPT = 64


@dataclass
class Episode:
    """What lies between two reinstatements of an account. Times in ms since the epoch."""

    after_ms: int
    """When the account was reinstated before; 0 for the first episode."""
    stopped_ms: int
    refused_ms: int | None = None
    refusal_latency_ms: int | None = None


@dataclass
class Account:
    """A user's activities and the episode that is open, if one is."""

    activities_ms: list[int] = field(default_factory=list)
    """When the payments that made activities known were committed; the newest few."""
    reinstated_ms: int = 0
    episode: Episode | None = None
    unresolved: list[Episode] = field(default_factory=list)
    """Episodes with a refusal whose activity has not been read yet: Kafka and MySQL are read independently."""


class Episodes:
    """All accounts that ever had an activity or were stopped."""

    def __init__(self) -> None:
        self._accounts: dict[int, Account] = {}
        self._stopped: dict[int, int] = {}
        self.times_stopped = 0
        self.resolved: list[int] = []
        """Milliseconds from the fraud's commit to the first refusal, for the caller to take and to clear."""

    @property
    def stopped(self) -> dict[int, int]:
        """Users whose accounts are stopped, to since when (ms), the newest last."""
        return self._stopped

    def activity(self, user_id: int, committed_ms: int) -> None:
        """A payment, committed then, made an activity of the user known."""
        account = self._accounts.setdefault(user_id, Account())
        insort(account.activities_ms, committed_ms)
        del account.activities_ms[:-ACTIVITIES_KEPT]
        self._resolve(account)

    def flag(self, user_id: int, is_set: bool, changed_ms: int) -> None:
        """The flag of the account was set or cleared. Changes of one user come in order."""
        account = self._accounts.setdefault(user_id, Account())
        if is_set:
            self.times_stopped += 1
            self._stopped[user_id] = changed_ms
            account.episode = Episode(account.reinstated_ms, changed_ms)
        else:
            self._stopped.pop(user_id, None)
            account.reinstated_ms, account.episode = changed_ms, None

    def forget(self, user_id: int) -> None:
        """The account was closed."""
        self._stopped.pop(user_id, None)
        self._accounts.pop(user_id, None)

    def refusal(self, user_id: int, refused_ms: int) -> None:
        """A payment of the account was refused."""
        account = self._accounts.get(user_id)
        if account is None or account.episode is None or account.episode.refused_ms is not None:
            return
        account.episode.refused_ms = refused_ms
        account.unresolved.append(account.episode)
        self._resolve(account)

    def _resolve(self, account: Account) -> None:
        account.unresolved = [episode for episode in account.unresolved if not self._settle(account, episode)]

    def _settle(self, account: Account, episode: Episode) -> bool:
        assert episode.refused_ms is not None
        first = next(self._of(account, episode), None)
        if first is None:
            return False
        episode.refusal_latency_ms = episode.refused_ms - first
        self.resolved.append(episode.refusal_latency_ms)
        return True

    def _of(self, account: Account, episode: Episode) -> Iterator[int]:
        assert episode.refused_ms is not None
        return (each for each in account.activities_ms if episode.after_ms < each <= episode.refused_ms)
