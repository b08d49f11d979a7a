"""Clients of Kafka are made in one place, and what they are given is what Kafka's own libraries read."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fraudlab.kafka_access import KafkaAccess, jaas_config, last_words_first, sql_options

REPOSITORY = Path(__file__).parents[2]
CLIENTS = {"KafkaConsumer", "KafkaProducer", "KafkaAdminClient"}
ONE_PLACE = REPOSITORY / "fraudlab/kafka_access.py"
HOSTILE = 'it\'s "quoted" \\ ;'


def sources() -> Iterator[tuple[str, str]]:
    """Name and text of all Python here: modules, tests, and the cells of notebooks."""
    for folder in ("fraudlab", "bench", "deploy", "tests"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            if path not in (ONE_PLACE, Path(__file__)):
                yield str(path.relative_to(REPOSITORY)), path.read_text(encoding="utf-8")
    for path in sorted((REPOSITORY / "solutions").glob("*.ipynb")):
        for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
            source = "".join(cell["source"])
            if cell["cell_type"] == "code" and not re.search(r"^!", source, re.MULTILINE):
                yield f"solutions/{path.name}, cell {number}", source


def clients_of_their_own(text: str) -> list[int]:
    """The lines that name Kafka's address for a client by themselves, or make a client without `**….options()`."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if any(one.arg == "bootstrap_servers" for one in node.keywords):
            found.append(node.lineno)
        elif name in CLIENTS:
            unpacked = [ast.unparse(one.value) for one in node.keywords if one.arg is None]
            if not any(one.endswith(".options()") for one in unpacked):
                found.append(node.lineno)
    return found


def test_every_client_of_kafka_is_made_in_one_place() -> None:
    wrong = [f"{name}:{line}" for name, text in sources() for line in clients_of_their_own(text)]
    assert wrong == []


@pytest.mark.parametrize(
    "line", ["KafkaConsumer('a', bootstrap_servers=b)", "kafka.KafkaProducer()", "Watched(bootstrap_servers=servers)"]
)
def test_a_client_of_its_own_is_found(line: str) -> None:
    assert clients_of_their_own(line) == [1]


def test_every_table_gets_its_options_from_there() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in REPOSITORY.glob("*/**/*.sql")}
    texts |= {REPOSITORY / name: text for name, text in sources()}
    assert [path.name for path, text in texts.items() if "bootstrap.servers" in text] == []


def test_without_a_log_in_only_the_address_is_given() -> None:
    access = KafkaAccess("a:9092")
    assert access.options() == {"bootstrap_servers": "a:9092", "security_protocol": "PLAINTEXT"}
    assert access.table_options() == {"properties.bootstrap.servers": "a:9092"}
    assert access.librdkafka_options() == {"bootstrap.servers": "a:9092", "security.protocol": "plaintext"}


def test_a_log_in_with_encryption() -> None:
    access = KafkaAccess("a:1,b:2", "SASL_SSL", "SCRAM-SHA-512", "cdc", "secret", Path("/ca.pem"))
    options = access.options()
    assert callable(options.pop("kafka_client"))
    assert options == {
        "bootstrap_servers": "a:1,b:2",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "cdc",
        "sasl_plain_password": "secret",
        "ssl_cafile": "/ca.pem",
    }
    assert access.properties() == {
        "bootstrap.servers": "a:1,b:2",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.jaas.config": 'org.apache.kafka.common.security.scram.ScramLoginModule required username="cdc" password="secret";',
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": "/ca.pem",
    }


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(KafkaAccess("a:1", "SASL_SSL", "PLAIN", "cdc", "secret"))


def test_a_password_may_have_any_character() -> None:
    text = jaas_config("PLAIN", "cdc", HOSTILE)
    assert text.endswith(r'password="it' + r"'s \"quoted\" \\ ;" + '";')
    assert sql_options({"properties.sasl.jaas.config": HOSTILE, "topic": "a"}).splitlines() == [
        "'properties.sasl.jaas.config' = 'it''s \"quoted\" \\ ;',",
        "  'topic' = 'a'",
    ]


def test_what_came_before_a_connection_was_closed_is_read() -> None:
    closed = OSError("socket disconnected")
    assert last_words_first(lambda: (b"the password is wrong", closed)) == (b"the password is wrong", None)
    assert last_words_first(lambda: (b"", closed)) == (b"", closed)
