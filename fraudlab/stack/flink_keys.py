"""The keys of Flink's TLS: one opens its REST API, the other everything internal, and Flink lets in nobody who has none.

Each is a private key with a certificate that it signs itself. The certificate is all that both ends of a connection trust, so a name
in it, or a certificate authority, would add nothing.
"""

import fcntl
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fraudlab.errors import UserError
from fraudlab.stack.layout import Layout, private_folder
from fraudlab.stack.secret_store import SecretStore, write_private

REST, INTERNAL = "rest", "internal"
SECRET = "flink_keys"  # noqa: S105 - the name of the password
VALID_FOR = timedelta(days=3650)
RENEWED_BEFORE = timedelta(days=30)
"""Keys that expire so soon are made again, unless a process of Flink runs that has the old ones."""


def store(layout: Layout, name: str) -> Path:
    """A key and its certificate as Java reads them, in PKCS12: keystore and truststore in one."""
    return layout.flink_keys / f"{name}.p12"


def pem(layout: Layout) -> Path:
    """The key and the certificate for the REST API as Python reads them."""
    return layout.flink_keys / f"{REST}.pem"


def make(layout: Layout, secrets: SecretStore, *, renew: bool) -> None:
    """Makes the keys that are missing or that the password does not open; with `renew`, those too that end within a month.

    Safe for several processes at once, also in containers that share the folder. Raises UserError for a folder that is not private.
    """
    folder = private_folder(layout.flink_keys)
    if folder.stat().st_uid != os.getuid():
        raise UserError(
            f"{folder}, which holds the keys of Flink, belongs to somebody else.",
            "Remove it, then run the command again: new keys are made.",
        )
    password = secrets.secret(SECRET).encode()
    lock = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        soon = datetime.now(UTC) + RENEWED_BEFORE
        for name in (REST, INTERNAL):
            ends = _end(store(layout, name), password)
            is_whole = ends is not None and (name != REST or pem(layout).exists())
            if not is_whole or (renew and ends is not None and ends < soon):
                _write(layout, name, password)
    finally:
        os.close(lock)


def _end(path: Path, password: bytes) -> datetime | None:
    """When a certificate ends; None where there is none that this password opens."""
    from cryptography.hazmat.primitives.serialization import pkcs12

    try:
        _, certificate, _ = pkcs12.load_key_and_certificates(path.read_bytes(), password)
    except (FileNotFoundError, ValueError):
        return None
    return certificate.not_valid_after_utc if certificate is not None else None


def self_signed(key: Any, name: str) -> Any:
    """The certificate of a private key of `cryptography`, signed with the key itself: both ends of a connection trust it and no other."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(named)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks go wrong
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(key, hashes.SHA256())
    )


def as_pem(key: Any, certificate: Any) -> tuple[bytes, bytes]:
    """A private key and its certificate as text."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        certificate.public_bytes(Encoding.PEM),
    )


def _write(layout: Layout, name: str, password: bytes) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import pkcs12

    key = rsa.generate_private_key(
        public_exponent=65537, key_size=2048
    )  # the ciphers that Flink offers by default are RSA's
    certificate = self_signed(key, f"fraudlab flink {name}")
    store(layout, name).unlink(missing_ok=True)  # interrupted from here on, all of it is made again
    if name == REST:
        write_private(pem(layout), b"".join(as_pem(key, certificate)))
    packed = pkcs12.serialize_key_and_certificates(
        name.encode(), key, certificate, None, serialization.BestAvailableEncryption(password)
    )
    write_private(store(layout, name), packed)
