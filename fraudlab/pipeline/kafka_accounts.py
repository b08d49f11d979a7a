"""The accounts of Kafka: a job, a service or a learner may do its own work there, and nothing else."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from kafka.errors import KafkaError, KafkaTimeoutError

from fraudlab.clients.waiting import until
from fraudlab.kafka_access import KafkaAccess
from fraudlab.pipeline.contracts import CDC_JOB, DETECTOR_JOB, JOBS, JOIN_JOB, Names

LEARNER = "learner"
"""The role of the notebooks. A learner may do everything with what has the learner's prefix, but create topics and partitions: Kafka
limits neither, each takes files and memory, and one request may ask for 10,000. `lab.create_topic` does it within a limit."""
LEARNERS_OPERATIONS = {
    ResourceType.TOPIC: (
        ACLOperation.READ,
        ACLOperation.WRITE,
        ACLOperation.DELETE,
        ACLOperation.DESCRIBE_CONFIGS,
        ACLOperation.ALTER_CONFIGS,
    ),
    ResourceType.GROUP: (ACLOperation.ALL,),
    ResourceType.TRANSACTIONAL_ID: (ACLOperation.ALL,),
}
READS = {
    JOIN_JOB: ("user_profile", "transactions"),
    DETECTOR_JOB: ("transaction_mid",),
    "flagger": ("suspicious_activities",),
    "notifier": ("suspicious_activities",),
    "analytics": ("user_profile", "transactions", "transaction_mid", "suspicious_activities", "dead_letters"),
}
"""Role to the topics that it reads. Each but the dashboard, which has no group, commits offsets of the group of its own name."""
WRITES = {
    CDC_JOB: ("user_profile", "transactions", "dead_letters"),
    JOIN_JOB: ("transaction_mid", "dead_letters"),
    DETECTOR_JOB: ("suspicious_activities", "dead_letters"),
    "flagger": ("dead_letters",),
    "notifier": ("dead_letters",),
}
"""Role to the topics that it writes."""
LOOKS_AT = {"analytics": (DETECTOR_JOB, "flagger", "notifier")}
"""Role to the groups of which it reads the offsets."""
ROLES = (*JOBS, "flagger", "notifier", "analytics")

ITERATIONS = 4096
"""Of SCRAM. The passwords are random, so more would only make logging in slower."""
KNOWN_WITHIN_S = 30
"""How long after it was accepted a change may be unknown to the broker."""
_EVERYTHING = ACLFilter(
    None,
    None,
    ACLOperation.ANY,
    ACLPermissionType.ANY,
    ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
)


def roles(names: Names) -> tuple[str, ...]:
    """The roles that have an account; its name is `names.group(role)`. Without a learner's name there is no prefix to give a learner."""
    return (*ROLES, LEARNER) if names.learner else ROLES


def grants(names: Names) -> list[ACL]:
    """What each account may do. Reading and writing include to describe; there is nothing that denies."""
    granted = []
    for role in ROLES:
        account = names.group(role)
        for topic in READS.get(role, ()):
            granted.append(_allow(account, ACLOperation.READ, ResourceType.TOPIC, getattr(names, topic)))
        for topic in WRITES.get(role, ()):
            granted.append(_allow(account, ACLOperation.WRITE, ResourceType.TOPIC, getattr(names, topic)))
        if role in READS and role not in LOOKS_AT:
            granted.append(_allow(account, ACLOperation.READ, ResourceType.GROUP, account))
        for group in LOOKS_AT.get(role, ()):
            granted.append(_allow(account, ACLOperation.DESCRIBE, ResourceType.GROUP, names.group(group)))
    if names.learner:
        prefix, account = names.group(""), names.group(LEARNER)
        for resource, operations in LEARNERS_OPERATIONS.items():
            for operation in operations:
                granted.append(_allow(account, operation, resource, prefix, ACLResourcePatternType.PREFIXED))
    return granted


def create(
    kafka: KafkaAccess, names: Names, passwords: Mapping[str, str], written: Mapping[str, str]
) -> dict[str, str]:
    """Creates the accounts, or brings them up to date: run again, it changes nothing that is as it should be.

    Args:
        kafka: An administrator's access.
        names: Names of the accounts, and of what they may use.
        passwords: Role to password, for each of `roles(names)`.
        written: What an earlier call returned: Kafka does not tell whether an account has this password.

    Returns:
        Account to a fingerprint of its password.

    Raises:
        KafkaError: Kafka does not answer, or does not accept the accounts.
    """
    with closing(kafka.admin()) as admin:
        cluster = str(admin.describe_cluster()["cluster_id"])
        accounts = {names.group(role): passwords[role] for role in roles(names)}
        prints = {account: _fingerprint(cluster, account, password) for account, password in accounts.items()}
        if kafka.mechanism.startswith("SCRAM"):
            known = admin.describe_user_scram_credentials(list(accounts))
            outdated = [
                account for account in accounts if not _has(known, account) or written.get(account) != prints[account]
            ]
            _set_passwords(admin, {account: accounts[account] for account in outdated}, kafka.mechanism)
            _wait_until_known([replace(kafka, account=one, password=accounts[one]) for one in outdated])
        _set_grants(admin, accounts, grants(names))
    return prints


def remove(kafka: KafkaAccess, names: Names) -> None:
    """Deletes the accounts and their rights; harmless where they are not there. Raises KafkaError."""
    accounts = [names.group(role) for role in roles(names)]
    with closing(kafka.admin()) as admin:
        _set_grants(admin, accounts, [])
        if kafka.mechanism.startswith("SCRAM"):
            known = admin.describe_user_scram_credentials(accounts)
            if there := [account for account in accounts if _has(known, account)]:
                _alter(admin, [UserScramCredentialDeletion(account, kafka.mechanism) for account in there])


def _has(known: Mapping[str, Any], account: str) -> bool:
    return bool(known.get(account, {}).get("credential_infos"))


def _set_passwords(admin: Any, passwords: Mapping[str, str], mechanism: str) -> None:
    if not passwords:
        return
    _alter(
        admin,
        [
            UserScramCredentialUpsertion(account, mechanism, password, iterations=ITERATIONS)
            for account, password in passwords.items()
        ],
    )


def _alter(admin: Any, changes: Sequence[Any]) -> None:
    said = admin.alter_user_scram_credentials(changes)
    if refused := {account: why for account, why in said.items() if why}:
        raise KafkaError(f"Kafka refuses the accounts {refused}")


def _wait_until_known(changed: Sequence[KafkaAccess]) -> None:
    """Waits until the broker knows these passwords, set in one request: one that deletes many partitions learns of them seconds later."""
    if changed and not until(changed[-1].is_accepted, KNOWN_WITHIN_S):
        raise KafkaTimeoutError("Kafka has accepted its accounts' passwords, and does not know of them")


def _set_grants(admin: Any, accounts: Collection[str], wanted: list[ACL]) -> None:
    there = _grants_of(admin, accounts)
    if superfluous := there - set(wanted):
        admin.delete_acls([ACLFilter(*_parts(one)) for one in superfluous])
    if missing := [one for one in wanted if one not in there]:
        if refused := admin.create_acls(missing)["failed"]:
            raise KafkaError(f"Kafka refuses {len(refused)} of its accounts' rights: {refused[0].__name__}")
        if not until(lambda: set(missing) <= _grants_of(admin, accounts), KNOWN_WITHIN_S, 0.02):
            raise KafkaTimeoutError("Kafka has accepted its accounts' rights, and does not know of them")


def _grants_of(admin: Any, accounts: Collection[str]) -> set[ACL]:
    principals = {f"User:{account}" for account in accounts}
    found, _ = admin.describe_acls(_EVERYTHING)
    return {one for one in found if one.principal in principals}


def _parts(acl: ACL) -> tuple[Any, ...]:
    return acl.principal, acl.host, acl.operation, acl.permission_type, acl.resource_pattern


def _allow(
    account: str,
    operation: ACLOperation,
    resource: ResourceType,
    name: str,
    pattern: ACLResourcePatternType = ACLResourcePatternType.LITERAL,
) -> ACL:
    return ACL(f"User:{account}", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(resource, name, pattern))


def _fingerprint(cluster: str, account: str, password: str) -> str:
    return hashlib.sha256("\0".join((cluster, account, password)).encode()).hexdigest()
