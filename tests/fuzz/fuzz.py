"""Fuzzes both jobs' inputs on a system of its own: `python -m tests.fuzz.fuzz --records 1000000 --seed 1`. A failure names the record."""

import argparse
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from kafka import KafkaProducer, TopicPartition
from kafka.errors import MessageSizeTooLargeError

from fraudlab import system
from tests.fuzz.inputs import Inputs
from tests.support import flink
from tests.support.home import running_system
from tests.support.lab import LearnerLab, learner_lab

INPUTS = {"join": ("transactions", "user_profile"), "detector": ("transaction_mid",)}
CONTROL_EVERY = 500
BATCH = 20_000
FIRST_CONTROL = 4 * 10**15
QUIET_S = 20.0
"""After this long without any output the jobs count as done."""


def fuzz(lab: LearnerLab, job: str, records: int, seed: int) -> Counter[str]:
    """Writes the records, with a valid fraud now and then; returns how many became what. Fails with a list of what went wrong."""
    began = time.monotonic()
    before = {each.id for each in flink.jobs_of(lab.settings)}
    written, frauds = write(lab, job, records, seed)
    print(f"{len(written):,} records written in {time.monotonic() - began:.0f} s", flush=True)
    letters, joined, activities = settled(lab)
    print(f"everything was processed after {time.monotonic() - began:.0f} s", flush=True)
    after = flink.jobs_of(lab.settings)
    problems = [f"{each.name} restarted: {each.failures} failures" for each in after if each.failures or each.restarts]
    if {each.id for each in after if each.state == "RUNNING"} != before:
        problems.append(f"jobs before: {before}; after: {after}")
    reasons = Counter(letter["reason"].split(":")[0] for letter in letters.values())
    problems += [
        f"{place}: {one['reason']}"
        for place, one in letters.items()
        if one["reason"].startswith(("unexpected", "cannot"))
    ]
    problems += [f"the fraud of user {user} was not found" for user in frauds if user not in activities]
    outcome: Counter[str] = Counter({f"dead letter: {reason:.60}": number for reason, number in reasons.items()})
    # A changed digit may make a record say the id of another one.
    read = {what_it_says(value) for place, (_, value) in written.items() if value is not None and place not in letters}
    for place, (number, value) in written.items():
        if value is None:
            outcome["tombstone"] += 1
            if place in letters:
                problems.append(f"{place}: a tombstone in dead_letters")
        elif job == "join" and place.split("-")[-3].endswith("transactions"):
            outcome["read" if place not in letters else "dead"] += 1
            said = what_it_says(value)
            is_joined = said is not None and said in joined
            if place not in letters and said is None and not is_delete(value):
                problems.append(f"{place}: neither read nor a dead letter ({value[:300]!r})")
            if place not in letters and said is not None and not is_joined:
                problems.append(f"{place}: payment {said} is not joined ({value[:300]!r})")
            if place in letters and said == number and is_joined and number not in read:
                problems.append(f"{place}: both read and a dead letter ({value[:300]!r})")
        else:
            outcome["read" if place not in letters else "dead"] += 1
    assert not problems, f"{len(problems)} problems, the first of seed {seed}:\n" + "\n".join(problems[:20])
    return outcome


def write(lab: LearnerLab, job: str, records: int, seed: int) -> tuple[dict[str, tuple[int, bytes | None]], list[int]]:
    """Writes everything; returns what was written, by place, and the users who committed a fraud."""
    inputs = Inputs(seed)
    producer = system.kafka(lab.settings).producer(linger_ms=20, batch_size=2**18, max_request_size=2**21, acks=1)
    written: dict[str, tuple[int, bytes | None]] = {}
    sent, frauds = [], []
    first = 1 + seed * 10_000_000
    for number in range(first, first + records):
        topic = INPUTS[job][number % len(INPUTS[job])]
        key, value = inputs.record(topic, number)
        sent.append((number, value, producer.send(getattr(lab.names, topic), value, key=key)))
        if number % CONTROL_EVERY == 0:
            frauds.append(control(lab, producer, inputs, job, number))
        if len(sent) == BATCH or number == first + records - 1:
            for each, value, future in sent:
                try:
                    where = future.get(timeout=60)
                except MessageSizeTooLargeError:
                    continue
                written[f"{where.topic}-{where.partition}-{where.offset}"] = each, value
            sent = []
    producer.close()
    return written, frauds


def control(lab: LearnerLab, producer: KafkaProducer, inputs: Inputs, job: str, number: int) -> int:
    """Writes a valid user and two valid payments, among the others, that must be found."""
    user = 10_000_000 + number
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    for step, country in enumerate(("DE", "FR")):
        number_of = FIRST_CONTROL + 2 * number + step
        if job == "join":
            profile, payment = inputs.good("user_profile", 1), inputs.good("transactions", number_of)
            profile["after"]["user_id"] = user
            producer.send(lab.names.user_profile, orjson.dumps(profile), key=str(user).encode())
            payment["after"] |= {"user_id": user, "amount": "600.00", "country": country}
            payment["after"] |= {"transaction_time": now, "created_at": now}
            producer.send(lab.names.transactions, orjson.dumps(payment), key=str(user).encode())
        else:
            joined = inputs.good("transaction_mid", number_of)
            joined |= {"user_id": user, "transaction_amount": "600.00", "transaction_country": country}
            joined |= {"transaction_time": now, "created_at": now}
            producer.send(lab.names.transaction_mid, orjson.dumps(joined), key=str(user).encode())
    return user


def settled(lab: LearnerLab) -> tuple[dict[str, Any], set[int], set[int]]:
    """Waits until no more output comes; returns dead letters by place, ids of payments in transaction_mid, users with an activity."""
    letters: dict[str, Any] = {}
    joined: set[int] = set()
    users: set[int] = set()
    consumer = system.kafka(lab.settings).consumer(auto_offset_reset="earliest")
    topics = (lab.names.transaction_mid, lab.names.dead_letters, lab.names.suspicious_activities)
    consumer.assign([TopicPartition(topic, each) for topic in topics for each in range(lab.settings.partitions)])
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < QUIET_S:
        for batch in consumer.poll(timeout_ms=500).values():
            quiet_since = time.monotonic()
            for one in batch:
                if one.value is None:
                    continue
                if one.topic == lab.names.dead_letters:
                    letter = orjson.loads(one.value)
                    letters[f"{letter['topic']}-{letter['partition']}-{letter['offset']}"] = letter
                elif one.topic == lab.names.suspicious_activities:
                    users.add(orjson.loads(one.value)["user_id"])
                else:
                    try:
                        joined.add(orjson.loads(one.value)["transaction_id"])
                    except (ValueError, TypeError, KeyError):
                        continue  # what the detector's fuzzing wrote there
    consumer.close()
    return letters, joined, users


def what_it_says(value: bytes) -> int | None:
    """The id of the payment that an envelope inserts or updates, read by another parser than the job's; None if there is none."""
    envelope = loosely(value)
    after = envelope.get("after") if isinstance(envelope, dict) and envelope.get("op") in ("c", "r", "u") else None
    try:
        return int(after["transaction_id"]) if isinstance(after, dict) else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def is_delete(value: bytes) -> bool:
    envelope = loosely(value)
    return isinstance(envelope, dict) and envelope.get("op") == "d"


def loosely(value: bytes) -> Any:
    """JSON in any encoding, with anything after it."""
    try:
        text = value.decode(json.detect_encoding(value), "surrogatepass")
        text = re.sub(
            r',"x":(\{"a":){100,}1.*', "}", text, flags=re.DOTALL
        )  # the job reads objects of any depth, Python does not
        return json.JSONDecoder(strict=False).raw_decode(text.lstrip("\ufeff \t\r\n"))[0]
    except (ValueError, RecursionError):
        return None


@contextmanager
def pipeline() -> Iterator[LearnerLab]:
    """A system of its own with the three jobs of a learner."""
    os.environ.setdefault("FRAUDLAB_TEST_HOME", "fuzz")
    with (
        running_system(lambda line: print(line, flush=True), with_jobs=False) as settings,
        learner_lab(settings, "fuzz") as lab,
    ):
        lab.submit_jobs()
        yield lab


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--job", choices=[*INPUTS, "both"], default="both")
    arguments = parser.parse_args()
    for job in INPUTS if arguments.job == "both" else [arguments.job]:
        with pipeline() as lab:
            began = time.monotonic()
            outcome = fuzz(lab, job, arguments.records, arguments.seed)
            print(f"{job}: no restart, {time.monotonic() - began:.0f} s for {arguments.records:,} records", flush=True)
            for what, number in outcome.most_common():
                print(f"  {number:>9,}  {what}", flush=True)


if __name__ == "__main__":
    main()
