"""A Kafka that is not ours: encrypted, with a certificate of its own authority, and with the log-ins that such brokers offer (sec-03)."""

import ipaddress
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kafka.admin import NewTopic, UserScramCredentialUpsertion
from kafka.errors import KafkaError, SaslAuthenticationFailedError

from fraudlab.kafka_access import KafkaAccess, Mechanism, jaas_config
from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack import java
from fraudlab.stack.layout import Layout
from fraudlab.stack.second_stack import free_ports
from fraudlab.stack.templating import properties_text
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

ACCOUNT, PASSWORD = "payments", 'it\'s "secret" \\ ;'
TOPIC = "a.topic"


@pytest.fixture(scope="module")
def foreign(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaAccess]:
    """How the account uses it by PLAIN; it has the same password by SCRAM."""
    folder = tmp_path_factory.mktemp("foreign-kafka")
    ca = make_certificates(folder)
    port, controller = free_ports(2)
    config = folder / "server.properties"
    clients = properties_text(jaas_config("PLAIN", ACCOUNT, PASSWORD, **{f"user_{ACCOUNT}": PASSWORD}))
    config.write_text(
        f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{LOOPBACK}:{controller}
controller.listener.names=CONTROLLER
listeners=CLIENTS://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller}
listener.security.protocol.map=CLIENTS:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENTS
sasl.mechanism.inter.broker.protocol=PLAIN
ssl.keystore.type=PEM
ssl.keystore.location={folder / "server.pem"}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
listener.name.clients.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.clients.plain.sasl.jaas.config={clients}
listener.name.clients.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.clients.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
log.dirs={folder / "data"}
offsets.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
"""
    )
    program = java_of_kafka(settings)
    formatted = [*program, "kafka.tools.StorageTool", "format", "--cluster-id=AAAAAAAAAAAAAAAAAAAAAA"]
    subprocess.run([*formatted, f"--config={config}"], check=True, capture_output=True)
    with (folder / "log").open("wb") as log:
        broker = subprocess.Popen([*program, "kafka.Kafka", str(config)], stdout=log, stderr=subprocess.STDOUT)
    access = KafkaAccess(f"{LOOPBACK}:{port}", "SASL_SSL", "PLAIN", ACCOUNT, PASSWORD, ca)

    def is_up() -> bool:
        assert broker.poll() is None, (folder / "log").read_text()[-2000:]
        try:
            with closing(access.admin(bootstrap_timeout_ms=3000)) as admin:
                for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):  # both in one request are refused
                    upsertion = UserScramCredentialUpsertion(ACCOUNT, mechanism, PASSWORD, 4096)
                    admin.alter_user_scram_credentials([upsertion])
                admin.create_topics([NewTopic(TOPIC, 2, 1)])
        except KafkaError:
            return False
        return True

    try:
        eventually(is_up, "the foreign Kafka runs", 60)
        yield access
    finally:
        broker.kill()
        broker.wait()


def make_certificates(folder: Path) -> Path:
    """Writes `server.pem`, key and certificate for the loopback address; returns the certificate of the authority that signed it."""
    now = datetime.now(UTC)

    def certificate(name: str, key: ec.EllipticCurvePrivateKey, *, is_authority: bool) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )

    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    ca = folder / "ca.pem"
    ca.write_bytes(
        certificate("authority", authority, is_authority=True).sign(authority, hashes.SHA256()).public_bytes(pem)
    )
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))])
    signed = certificate("kafka", server, is_authority=False).add_extension(here, critical=False)
    private = server.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(private + signed.sign(authority, hashes.SHA256()).public_bytes(pem))
    return ca


def java_of_kafka(settings: Settings) -> list[str]:
    return [str(java.find().executable), "-Xmx256m", "-cp", java.class_path(Layout(settings.home).jars / "kafka", "*")]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_sec_03_python_writes_and_reads_through_tls(foreign: KafkaAccess, mechanism: Mechanism) -> None:
    access = replace(foreign, mechanism=mechanism)
    with closing(access.producer()) as producer:
        at = producer.send(TOPIC, value=mechanism.encode()).get(30)
    with closing(access.consumer(group_id=mechanism, auto_offset_reset="earliest")) as consumer:
        consumer.subscribe([TOPIC])
        found: dict[tuple[int, int], bytes] = {}

        def read() -> bool:
            for records in consumer.poll(timeout_ms=1000).values():
                found.update({(one.partition, one.offset): one.value for one in records})
            return (at.partition, at.offset) in found

        eventually(read, "the record is read", 60)
    assert found[at.partition, at.offset] == mechanism.encode()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_sec_03_java_logs_in_through_tls_with_the_options_that_flink_gets(
    foreign: KafkaAccess, mechanism: Mechanism, settings: Settings, tmp_path: Path
) -> None:
    access = replace(foreign, mechanism=mechanism)
    config = tmp_path / "client.properties"
    config.write_text("".join(f"{name}={properties_text(value)}\n" for name, value in access.properties().items()))
    ask = ["kafka.admin.ConfigCommand", f"--bootstrap-server={access.servers}", f"--command-config={config}"]
    done = subprocess.run(
        [*java_of_kafka(settings), *ask, "--describe", "--entity-type=topics"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert TOPIC in done.stdout


def test_sec_03_a_broker_with_a_certificate_of_another_authority_gets_no_password(
    foreign: KafkaAccess, tmp_path: Path
) -> None:
    other = make_certificates(tmp_path)
    with pytest.raises(KafkaError) as raised, closing(replace(foreign, ca=other).admin(bootstrap_timeout_ms=3000)):
        pass
    assert not isinstance(raised.value, SaslAuthenticationFailedError)


def test_sec_03_a_wrong_password_is_said_at_once(foreign: KafkaAccess) -> None:
    with (
        pytest.raises(SaslAuthenticationFailedError, match="'payments'"),
        closing(replace(foreign, password="wrong").admin(bootstrap_timeout_ms=30_000)),
    ):
        pass
