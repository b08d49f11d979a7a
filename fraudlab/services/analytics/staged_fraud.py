"""A fraud on stage: what arrived of it, and how many milliseconds after the fraud's commit."""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Try:
    """A payment that was tried on stage. `by_thief`: not by the owner; `refusal`: the database's reason, empty where it was accepted."""

    by_thief: bool
    amount: str
    currency: str
    country: str
    merchant: str
    refusal: str = ""


@dataclass(frozen=True)
class Evidence:
    """When what was stored, in ms since the epoch, by the clocks of MySQL and Kafka; None: not yet."""

    payment_ms: int | None = None
    """Commit of the payment that made the activity known."""
    activity_ms: int | None = None
    flag_ms: int | None = None
    email_ms: int | None = None
    push_ms: int | None = None
    refusal_ms: int | None = None
    email_problem: str = ""
    push_problem: str = ""
    refusal: str = ""


@dataclass(frozen=True)
class Step:
    """A step as the page shows it. `after_ms`: since the fraud's commit, None while it is awaited. `problem`: why it will not come."""

    name: str
    detail: str
    after_ms: int | None
    problem: str = ""


@dataclass(frozen=True)
class StagedFraud:
    """One fraud that the dashboard committed."""

    user_id: int
    name: str
    began_ms: int
    tries: tuple[Try, ...] = ()
    evidence: Evidence = field(default_factory=Evidence)
    error: str = ""
    played: bool = False
    """All payments of the scenario were tried."""

    def tried(self, one: Try) -> "StagedFraud":
        """With one more payment."""
        return replace(self, tries=(*self.tries, one))

    def with_evidence(self, new: Evidence) -> "StagedFraud":
        """With what is new; what was known already stays."""
        known = {name: value for name, value in vars(self.evidence).items() if value}
        return replace(self, evidence=Evidence(**vars(new) | known))

    @property
    def is_complete(self) -> bool:
        """Nothing more is to be expected."""
        return bool(self.error) or (self.played and all(one.after_ms is not None or one.problem for one in self.steps))

    @property
    def steps(self) -> tuple[Step, ...]:
        """The six things to see, in the order in which they usually come."""
        seen = self.evidence
        fraud = next((one for one in self.tries if one.by_thief and not one.refusal), None)
        what = f"{fraud.amount} {fraud.currency} in {fraud.country}, {fraud.merchant}" if fraud else ""
        refusal = seen.refusal or next((one.refusal for one in self.tries if one.refusal), "")
        return (
            Step("Payment", what, None if seen.payment_ms is None else 0),
            Step("Activity", "the rule is met: the alert is in Kafka", self._after(seen.activity_ms)),
            Step("Flag", "the account is stopped", self._after(seen.flag_ms)),
            Step("E-mail", "accepted by the mail server", self._after(seen.email_ms), seen.email_problem),
            Step("Push", "accepted by the push server", self._after(seen.push_ms), seen.push_problem),
            Step("Refusal", refusal or "the thief's next payment", self._after(seen.refusal_ms)),
        )

    def _after(self, moment_ms: int | None) -> int | None:
        if moment_ms is None or self.evidence.payment_ms is None:
            return None
        return max(0, moment_ms - self.evidence.payment_ms)
