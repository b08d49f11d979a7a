"""The records that jobs are told to skip. Kept with Flink's state: who wipes the one wipes the other."""

import json
from typing import Any

from fraudlab.settings import Settings
from fraudlab.stack.layout import Layout
from fraudlab.stack.secret_store import write_private


class SkippedRecords:
    """By the full name of a job: places of records, `topic-partition-offset`, and the checkpoint that its next submission goes on from."""

    def __init__(self, settings: Settings) -> None:
        self._file = Layout(settings.home).flink_state / "skipped-records.json"

    def places(self, job: str) -> list[str]:
        """The places that a job skips, and how payments begin that it skips wherever they are."""
        return list(self._read().get(job, {}).get("places", []))

    def holds(self, job: str, place: str) -> bool:
        """Whether a job is told to skip this record."""
        return place in self.places(job)

    def checkpoint(self, job: str) -> str | None:
        """What the job's next submission goes on from; None: from the beginning of its topics."""
        found = self._read().get(job, {}).get("checkpoint")
        return str(found) if found else None

    def add(self, job: str, place: str, beginning: str, checkpoint: str | None) -> None:
        """Adds a place, how the record's payment begins wherever it is ("": not known), and what the job is to go on from."""
        known = self._read()
        added = {*known.get(job, {}).get("places", []), place, beginning} - {""}
        self._write({**known, job: {"places": sorted(added), "checkpoint": checkpoint}})

    def submitted(self, job: str) -> None:
        """The job has been submitted: a later submission does not go back to the same checkpoint."""
        known = self._read()
        if known.get(job, {}).get("checkpoint"):
            self._write({**known, job: {**known[job], "checkpoint": None}})

    def forget(self, prefix: str) -> None:
        """Forgets all of the jobs whose names begin so: their topics are made again."""
        known = self._read()
        kept = {job: one for job, one in known.items() if not job.startswith(prefix)}
        if kept != known:
            self._write(kept)

    def _read(self) -> dict[str, Any]:
        try:
            known = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return known if isinstance(known, dict) else {}

    def _write(self, known: dict[str, Any]) -> None:
        write_private(self._file, json.dumps(known, indent=2))
