"""A fraud on stage: what arrived of it, and how many milliseconds after the fraud's commit."""

from dataclasses import dataclass, field, replace

PATIENCE_S = 60
"""What was not seen so long after the fraud began is not waited for any more: the rule may not catch it, or something is down."""


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
    """A step as the page shows it. `after_ms`: since the fraud's commit, None while it is awaited.

    `problem`: why it will not come; `verdict` the same in two words.
    """

    name: str
    detail: str
    after_ms: int | None
    problem: str = ""
    verdict: str = ""


@dataclass(frozen=True)
class StagedFraud:
    """One fraud that the dashboard or the demo committed."""

    user_id: int
    name: str
    began_ms: int
    tries: tuple[Try, ...] = ()
    evidence: Evidence = field(default_factory=Evidence)
    error: str = ""
    played: bool = False
    """All payments of the scenario were tried."""
    is_over: bool = False
    """Nothing more is waited for."""

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
        if self.error or self.is_over:
            return True
        return self.played and all(one.after_ms is not None or one.problem for one in self.steps)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The six things to see, in the order in which they usually come."""
        seen = self.evidence
        accepted = [one for one in self.tries if not one.refusal]
        # Soon after a reinstatement already the owner's payment may meet the rule: the thief's hour is not over.
        fraud = next((one for one in accepted if one.by_thief), accepted[0] if accepted else None)
        what = f"{fraud.amount} {fraud.currency} in {fraud.country}, {fraud.merchant}" if fraud else ""
        refusal = seen.refusal or next((one.refusal for one in self.tries if one.refusal), "")
        return (
            self._step("Payment", what, seen.payment_ms),
            self._step("Activity", "the rule is met: the alert is in Kafka", seen.activity_ms),
            self._step("Flag", "the account is stopped", seen.flag_ms),
            self._step("E-mail", "accepted by the mail server", seen.email_ms, seen.email_problem),
            self._step("Push", "accepted by the push server", seen.push_ms, seen.push_problem),
            self._step("Refusal", refusal or "the thief's next payment", seen.refusal_ms),
        )

    def _step(self, name: str, detail: str, moment_ms: int | None, problem: str = "") -> Step:
        after_ms = self._after(moment_ms)
        if after_ms is not None:
            return Step(name, detail, after_ms)
        if problem:
            return Step(name, detail, None, problem, "not sent")
        if self.is_over or self.error:
            return Step(name, detail, None, f"not seen within {PATIENCE_S} s" if self.is_over else "", "not seen")
        return Step(name, detail, None)

    def _after(self, moment_ms: int | None) -> int | None:
        if moment_ms is None or self.evidence.payment_ms is None:
            return None
        return max(0, moment_ms - self.evidence.payment_ms)
