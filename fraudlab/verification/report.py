"""The verification for people: what is missing, extra or doubled, by id, the scores, and one clear last line."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fraudlab.verification.score import Recall
from fraudlab.verification.verify import Verification

SHOWN = 20

TITLES = {
    "missing": "Missing: activities that must be there",
    "extra": "Extra: activities that must not be there",
    "duplicate": "Doubled: one activity with different contents",
    "wrong": "Wrong: records that say what is not so",
    "missing_dead_letters": "Payments that do not count and are not in dead_letters",
    "extra_dead_letters": "Payments in dead_letters that count, and activities there that must be raised",
    "lost_payments": "Payments that are lost on the way",
    "unknown_payments": "Payments in the topics that MySQL does not have",
    "impossible_rows": "Rows in MySQL that cannot be judged",
    "wrong_flags": "Accounts whose flag is wrong",
    "accepted_while_stopped": "Payments accepted though the account was stopped",
    "declined_without_stop": "Payments refused though the account was not stopped",
    "wrong_notifications": "People not told of an episode exactly once by each channel",
}


def render(verification: Verification, console: Console) -> None:
    """Prints findings (the first 20 of each kind), then scores; the last line says whether the system was exact."""
    for kind, findings in verification.by_kind.items():
        if findings:
            table = Table("id", "user", "what", title=TITLES[kind], title_justify="left", title_style="bold red")
            for finding in findings[:SHOWN]:
                user = "" if finding.user_id is None else str(finding.user_id)
                table.add_row(escape(finding.id), user, escape(finding.problem))
            if len(findings) > SHOWN:
                table.caption = f"{len(findings) - SHOWN} more"
            console.print(table)
    _render_scores(verification, console)
    counts = verification.counts
    console.print(
        f"{counts.payments:,} payments; {counts.expected_activities:,} activities must be there, "
        f"{counts.activities:,} are; "
        f"{counts.declined_payments:,} payments refused, {counts.notifications:,} notifications sent, "
        f"{counts.dead_letters:,} dead letters, "
        f"{counts.redelivered:,} records delivered again (harmless). Took {verification.took_s:.1f} s."
    )
    for one in verification.skipped[:SHOWN]:
        console.print(f"Skipped on purpose: {escape(one.place)}. {one.consequence[0].upper()}{one.consequence[1:]}.")
    if len(verification.skipped) > SHOWN:
        console.print(f"Skipped on purpose: {len(verification.skipped) - SHOWN:,} more records.")
    console.print(last_line(verification))


def last_line(verification: Verification) -> str:
    """The verdict in one line, with rich's markup."""
    if verification.nothing:
        return "[bold]NOTHING TO VERIFY: no payment was made, and no activity is there.[/bold]"
    if verification.exact:
        count = len(verification.skipped)
        skipped = f" {count:,} record{'s' if count > 1 else ''} skipped on purpose." if count else ""
        return f"[bold green]EXACT: nothing missing, nothing extra, nothing twice.{skipped}[/bold green]"
    kinds = {kind.replace("_", " "): len(findings) for kind, findings in verification.by_kind.items()}
    found = [f"{count:,} {kind}" for kind, count in kinds.items() if count]
    if verification.unsettled:
        found.append(f"not settled: {verification.unsettled}")
    return f"[bold red]NOT EXACT: {escape(', '.join(found))}.[/bold red]"


def _render_scores(verification: Verification, console: Console) -> None:
    score, latency = verification.score, verification.time_to_detect
    if not score.recall.cases and verification.counts.activities:
        console.print("The payments have no labels, so there is no precision and no recall.")
    if score.recall.cases:
        table = Table(
            "scenario", "cases", "found", "recall", title="Against the generator's labels", title_justify="left"
        )
        for scenario, recall in (*score.by_scenario.items(), ("all", score.recall)):
            table.add_row(escape(scenario), str(recall.cases), str(recall.found), _share(recall))
        console.print(table)
        flagged = score.true_positives + len(score.false_positives)
        console.print(
            f"Precision {_share(Recall(score.true_positives, flagged))}: of {flagged} users with an activity, "
            f"{score.true_positives} made fraudulent payments."
        )
    if latency:
        console.print(
            f"Time to detect, from when the database took the payment: {latency.p50_ms} ms at the median, "
            f"{latency.p99_ms} ms at p99, {latency.max_ms} ms at most."
        )


def _share(recall: Recall) -> str:
    return f"{100 * recall.found / recall.cases:.1f} %" if recall.cases else "none"
