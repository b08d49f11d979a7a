"""Case sec-03: Kafka knows who asks. A stranger gets nothing; a job, a service and a learner get what they need, and no more."""

import contextlib
import dataclasses
import itertools
import json
import logging
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from kafka import TopicPartition
from kafka.admin import NewTopic, UserScramCredentialDeletion, UserScramCredentialUpsertion
from kafka.errors import AuthorizationError, KafkaError, SaslAuthenticationFailedError

from fraudlab import system
from fraudlab.clients.waiting import until
from fraudlab.course.breaking import MOST_PARTITIONS, create_topic
from fraudlab.course.workspace import Workspace
from fraudlab.errors import UserError
from fraudlab.kafka_access import KafkaAccess
from fraudlab.pipeline import kafka_accounts
from fraudlab.pipeline.contracts import Names
from fraudlab.settings import Settings
from fraudlab.stack import flink, flink_jobs, kafka, ports
from fraudlab.stack.layout import Layout
from fraudlab.stack.secret_store import SecretStore
from fraudlab.stack.supervisor import Stack
from tests.support.home import run
from tests.support.lab import LearnerLab, learner_lab
from tests.support.nobody import as_nobody, needs_root
from tests.support.waiting import eventually, patient

pytestmark = pytest.mark.slow  # three minutes: who is refused takes seconds to give up

STRANGERS = {
    "without a log-in": KafkaAccess(""),
    "with a guessed password": KafkaAccess("", "SASL_PLAINTEXT", "SCRAM-SHA-256", "flagger", "guessed"),
    "as the owner without a password": KafkaAccess("", "SASL_PLAINTEXT", "PLAIN", "owner", ""),
    "as the broker": KafkaAccess("", "SASL_PLAINTEXT", "PLAIN", "broker", "broker"),
}
QUICK = {"bootstrap_timeout_ms": 3_000}
READ_MS, WRITE_S = 3_000, 10
DENIED_S = 2
"""How long one who may not read a topic tries."""


def what_a_stranger_gets(addresses: list[str], topic: str) -> list[str]:
    """What a user without an account gets out of Kafka; one line each. Every attempt that fails is none."""

    def topics(access: KafkaAccess) -> object:
        with closing(access.admin(**QUICK)) as admin:
            return admin.list_topics()

    def records(access: KafkaAccess) -> object:
        with closing(access.consumer(**QUICK)) as consumer:
            consumer.assign([TopicPartition(topic, 0)])
            consumer.seek_to_beginning()
            return consumer.poll(timeout_ms=READ_MS)

    def made_up(access: KafkaAccess) -> object:
        with closing(access.producer(max_block_ms=READ_MS, **QUICK)) as producer:
            return producer.send(topic, b'{"activity_id": "made up"}', partition=0).get(READ_MS / 1000)

    logging.disable(logging.CRITICAL)
    got = []
    for address, (how, access) in itertools.product(addresses, STRANGERS.items()):
        for attempt in (topics, records, made_up):
            with contextlib.suppress(KafkaError):
                got.append(
                    f"{attempt.__name__} at {address} {how}: {attempt(dataclasses.replace(access, servers=address))}"
                )
    return got


@needs_root
def test_sec_03_another_local_user_reads_nothing_and_writes_nothing(settings: Settings) -> None:
    ports = (settings.kafka_port, settings.kafka_controller_port)
    addresses = [f"{settings.kafka_host}:{port}" for port in ports]
    topic = settings.names.suspicious_activities
    assert as_nobody(lambda: what_a_stranger_gets(addresses, topic)) == []


def test_sec_03_no_password_can_be_read_by_another_user(settings: Settings) -> None:
    """Neither in a file, nor among the arguments of a process."""
    layout = Layout(settings.home)
    for file in (layout.secrets, layout.kafka / "server.properties", layout.kafka_accounts("")):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    passwords = kafka_passwords(layout)
    assert len(passwords) >= 8
    for process in psutil.process_iter(["cmdline"]):
        arguments = " ".join(process.info["cmdline"] or ())
        assert not [name for name, password in passwords.items() if password in arguments], process


def test_sec_03_no_password_is_in_a_log_or_on_flinks_page(settings: Settings) -> None:
    layout = Layout(settings.home)
    passwords = kafka_passwords(layout)
    texts = {str(path): path.read_text(errors="replace") for path in layout.logs.glob("*.log*")}
    texts |= {path: get(settings, path) for path in pages(settings)}
    assert len(texts) > 30
    assert [
        (name, where) for name, password in passwords.items() for where, text in texts.items() if password in text
    ] == []


def kafka_passwords(layout: Layout) -> dict[str, str]:
    known: dict[str, str] = json.loads(layout.secrets.read_text(encoding="utf-8"))
    return {name: password for name, password in known.items() if name.startswith("kafka_")}


def get(settings: Settings, path: str) -> str:
    return json.dumps(flink.rest(settings, patient(10)).get(path), ensure_ascii=False)


def pages(settings: Settings) -> Iterator[str]:
    yield from (
        "/jobmanager/config",
        "/jobmanager/environment",
        "/jobs/overview",
    )
    for manager in json.loads(get(settings, "/taskmanagers"))["taskmanagers"]:
        yield f"/taskmanagers/{manager['id']}"
    for job in json.loads(get(settings, "/jobs"))["jobs"]:
        at = f"/jobs/{job['id']}"
        yield from (
            at,
            f"{at}/config",
            f"{at}/plan",
            f"{at}/exceptions",
            f"{at}/checkpoints",
            f"{at}/checkpoints/config",
        )
        yield from (f"{at}/vertices/{one['id']}" for one in json.loads(get(settings, at))["vertices"])


# Least privilege


@pytest.fixture(scope="module")
def bare(settings: Settings) -> Iterator[Settings]:
    """A learner with topics and accounts, each topic with a record, and nothing that runs."""
    with learner_lab(settings, "acl1") as lab:
        with closing(system.kafka(lab.settings).producer()) as producer:
            for topic in lab.names.topics:
                producer.send(topic, b"{}", partition=0).get(WRITE_S)
        yield lab.settings


def reads(access: KafkaAccess, topic: str, patience_s: float) -> bool:
    """Whether an account gets a record of a topic: one that may not is told nothing by kafka-python, if it may describe the topic."""
    with closing(access.consumer(enable_auto_commit=False)) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        consumer.seek(TopicPartition(topic, 0), 0)
        try:
            return bool(until(lambda: consumer.poll(timeout_ms=500), patience_s, 0))
        except AuthorizationError:
            return False


def writes(access: KafkaAccess, topic: str) -> bool:
    """Whether Kafka takes an account's record; raises KafkaError for any other reason than that it may not."""
    try:
        with closing(access.producer(max_block_ms=10_000)) as producer:
            producer.send(topic, b"{}", partition=0).get(WRITE_S)
    except KafkaError as error:
        if "AuthorizationFailed" in repr(error):
            return False
        raise
    return True


@pytest.mark.parametrize("role", kafka_accounts.ROLES)
def test_sec_03_a_job_or_service_reads_and_writes_its_own_topics_only(bare: Settings, role: str) -> None:
    access, names = system.kafka(bare, role), bare.names
    readable = [getattr(names, name) for name in kafka_accounts.READS.get(role, ())]
    writable = [getattr(names, name) for name in kafka_accounts.WRITES.get(role, ())]
    assert [
        topic for topic in names.topics if reads(access, topic, patient(10) if topic in readable else DENIED_S)
    ] == readable
    assert [topic for topic in names.topics if writes(access, topic)] == writable
    others = [topic for other in (Names(), Names("acl2")) for topic in other.topics]
    assert [topic for topic in others if writes(access, topic)] == []


def test_sec_03_only_one_job_writes_each_topic_of_the_pipeline() -> None:
    writers = {
        topic: [role for role, topics in kafka_accounts.WRITES.items() if topic in topics] for topic in Names().topics
    }
    assert writers.pop("dead_letters")
    assert writers == {
        "user_profile": ["cdc-ingestion"],
        "transactions": ["cdc-ingestion"],
        "transaction_mid": ["transaction-join"],
        "suspicious_activities": ["fraud-detector"],
    }


def test_sec_03_a_service_commits_for_its_own_group_only(bare: Settings) -> None:
    names = bare.names
    with closing(system.kafka(bare, "flagger").consumer(group_id=names.group("notifier"))) as consumer:
        consumer.subscribe([names.suspicious_activities])
        with pytest.raises(AuthorizationError):
            consumer.poll(timeout_ms=READ_MS)
    with closing(system.kafka(bare, "flagger").consumer(group_id=names.group("flagger"))) as consumer:
        consumer.subscribe([names.suspicious_activities])
        eventually(lambda: consumer.poll(timeout_ms=READ_MS) or consumer.assignment(), "it joins its own group")


def test_sec_03_a_service_makes_no_topic_and_no_account(bare: Settings) -> None:
    with closing(system.kafka(bare, "flagger").admin()) as admin:
        with pytest.raises(AuthorizationError):
            admin.create_topics([NewTopic(f"{bare.learner}.more", 1, 1)])
        assert set(admin.list_topics()) == {bare.names.suspicious_activities, bare.names.dead_letters}
    with (
        closing(system.kafka(bare, "flagger").admin(request_timeout_ms=5_000)) as admin,
        contextlib.suppress(KafkaError),
    ):
        admin.alter_user_scram_credentials(
            [UserScramCredentialUpsertion(kafka.OWNER, "SCRAM-SHA-256", "taken over", 4096)]
        )
    assert system.kafka(bare).is_accepted()
    assert not dataclasses.replace(system.kafka(bare), password="taken over").is_accepted()


def test_sec_03_a_learner_has_what_has_the_learners_prefix_and_nothing_of_others(
    settings: Settings, bare: Settings
) -> None:
    with learner_lab(settings, "acl2") as other:
        mine, theirs = system.kafka(bare, "learner"), other.names
        create_topic(Workspace(bare), "notes")
        with closing(mine.admin()) as admin:
            assert {one.partition(".")[0] for one in admin.list_topics()} == {bare.learner}
            with pytest.raises(AuthorizationError):
                admin.create_topics([NewTopic(f"{other.settings.learner}.notes", 1, 1)])
            with pytest.raises(AuthorizationError):
                admin.delete_topics([theirs.transactions])
            admin.delete_topics([f"{bare.learner}.notes"])
        assert writes(mine, bare.names.suspicious_activities)
        assert reads(mine, bare.names.suspicious_activities, patient(10))
        others = (*theirs.topics, *Names().topics)
        assert [topic for topic in others if writes(mine, topic)] == []
        assert [topic for topic in theirs.topics if reads(mine, topic, DENIED_S)] == []
        with closing(mine.consumer(group_id=theirs.group("flagger"))) as consumer:
            consumer.subscribe([bare.names.transactions])
            with pytest.raises(AuthorizationError):
                consumer.poll(timeout_ms=READ_MS)
        with pytest.raises(AuthorizationError), closing(mine.producer(transactional_id=theirs.job("copy"))) as producer:
            producer.init_transactions()


def test_sec_05_a_learner_creates_topics_within_a_limit_and_gets_the_reason(bare: Settings) -> None:
    workspace, topic = Workspace(bare), f"{bare.learner}.wide"
    with closing(system.kafka(bare, "learner").admin()) as admin:
        with pytest.raises(AuthorizationError):
            admin.create_topics([NewTopic(topic, 2_000, 1)])
        with pytest.raises(UserError, match=f"partitions; {MOST_PARTITIONS} are allowed"):
            create_topic(workspace, "wide", MOST_PARTITIONS)
        assert topic not in admin.list_topics()
        room = MOST_PARTITIONS - len(bare.names.topics) * bare.partitions
        assert create_topic(workspace, "wide", room) == topic
        assert create_topic(workspace, "wide", room) == topic, "the one that it replaces does not count"
        with pytest.raises(AuthorizationError):
            admin.create_partitions({topic: MOST_PARTITIONS})
        with pytest.raises(UserError, match=f"{MOST_PARTITIONS + 1} partitions"):
            create_topic(workspace, "one-more")
        admin.delete_topics([topic])


# Accounts come and go


def test_accounts_that_are_there_are_not_written_again_and_cost_little(
    bare: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.create_kafka_accounts(bare)
    from kafka.admin import KafkaAdminClient

    for change in ("alter_user_scram_credentials", "create_acls", "delete_acls"):
        monkeypatch.setattr(KafkaAdminClient, change, lambda *_: pytest.fail("nothing has changed"))
    began = time.monotonic()
    system.create_kafka_accounts(bare)
    assert time.monotonic() - began < patient(0.5)


def test_a_new_password_is_set_and_the_old_one_is_rejected(bare: Settings) -> None:
    before = system.kafka(bare, "flagger")
    forget(bare, f"kafka_{bare.names.group('flagger')}")
    system.create_kafka_accounts(bare)
    after = system.kafka(bare, "flagger")
    assert after.password != before.password
    assert after.is_accepted()
    with pytest.raises(
        SaslAuthenticationFailedError, match=rf"rejects the log-in of '{before.account}'.*`fraudlab up`"
    ):
        before.consumer()


def test_rights_that_an_earlier_version_gave_are_taken_back(bare: Settings) -> None:
    from kafka.admin import ACLOperation, ResourceType

    account = bare.names.group("flagger")
    more = kafka_accounts._allow(account, ACLOperation.WRITE, ResourceType.TOPIC, bare.names.transactions)
    with closing(system.kafka(bare).admin()) as admin:
        admin.create_acls([more])
    flagger = system.kafka(bare, "flagger")
    eventually(lambda: writes(flagger, bare.names.transactions), "it may write")
    system.create_kafka_accounts(bare)
    eventually(lambda: not writes(flagger, bare.names.transactions), "it may not any more")


def forget(settings: Settings, secret: str) -> None:
    """Removes a password from the home's file, as a person does who wants another one."""
    path = Layout(settings.home).secrets
    known = json.loads(path.read_text(encoding="utf-8"))
    del known[secret]
    SecretStore(path)._write(known)


def test_data_of_a_version_without_accounts_gets_them(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its Kafka knows no account at all. What runs meanwhile stays connected."""
    asked: list[str] = []
    make = KafkaAccess.admin

    def admin(access: KafkaAccess, **options: Any) -> Any:
        asked.append(access.mechanism)
        return make(access, **options)

    monkeypatch.setattr(KafkaAccess, "admin", admin)

    def made() -> bool:
        with closing(system.kafka(settings).admin()) as owner:
            owner.alter_user_scram_credentials([UserScramCredentialDeletion(kafka.OWNER, "SCRAM-SHA-256")])
        asked.clear()
        problem = Stack(settings).services[kafka.NAME].problem()
        return problem is None and "PLAIN" in asked  # the watcher, which asks now and then, may have been quicker

    eventually(made, "asking whether Kafka is ready makes the owner's account")
    assert system.kafka(settings).is_accepted()


def test_the_owners_password_goes_to_no_process_of_another_user(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who listens on Kafka's port while Kafka is away must not get it: SCRAM does not send it, PLAIN would."""
    monkeypatch.setattr(ports, "is_own", lambda port: False)
    asked: list[str] = []

    def admin(access: KafkaAccess, **_: Any) -> Any:
        asked.append(access.mechanism)
        raise SaslAuthenticationFailedError

    monkeypatch.setattr(KafkaAccess, "admin", admin)
    assert "rejects the log-in of 'owner'" in str(Stack(settings).services[kafka.NAME].problem())
    assert asked == ["SCRAM-SHA-256"]


# What is said


WRONG_JOBS = """
import dataclasses
from fraudlab import system
from fraudlab.pipeline import detector, join
from fraudlab.settings import Settings

settings = Settings()
names, cluster = settings.names, system.flink_cluster(settings)
wrong = dataclasses.replace(system.kafka(settings, "transaction-join"), password="wrong")
join.submit(cluster, wrong, names, transaction_ttl_s=60)
detector.submit(cluster, system.kafka(settings, "fraud-detector"), names, settings.rule, source=names.user_profile)
"""


@pytest.fixture(scope="module")
def failing(settings: Settings) -> Iterator[LearnerLab]:
    """A learner whose join has a wrong password, and whose detector reads a topic that is none of its business."""
    with learner_lab(settings, "broken3") as lab:
        run([sys.executable, "-c", WRONG_JOBS], print, lab.settings.environment())
        yield lab


@pytest.mark.parametrize(
    ("job", "what", "advice"),
    [
        ("transaction-join", "Kafka rejects the log-in of the job's account", "Cancel it"),
        (
            "fraud-detector",
            "Kafka does not let the job's account use a topic",
            "`fraudlab up`",
        ),
    ],
)
def test_a_job_that_kafka_refuses_says_so(failing: LearnerLab, job: str, what: str, advice: str) -> None:
    name = failing.names.job(job)

    def told() -> bool:
        (status,) = flink_jobs.status(failing.settings, [name])
        return what in str(status.problem) and advice in str(status.advice)

    eventually(told, f"{job} says what is wrong")


def test_a_command_that_kafka_rejects_says_what_to_do(settings: Settings, tmp_path: Path) -> None:
    from tests.support.home import outcome

    done = outcome([str(Path(sys.executable).with_name("fraudlab")), "verify"], FRAUDLAB_SECRET_KAFKA_OWNER="wrong")
    assert done.returncode != 0
    assert "log-in of 'owner'" in " ".join(done.stdout.split())
    assert "fraudlab up" in done.stdout
