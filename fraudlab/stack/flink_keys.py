"""The keys of Flink's TLS: one opens its REST API, the other everything internal, and Flink lets in nobody who has none.

Each is a private key with a certificate that it signs itself. The certificate is all that both ends of a connection trust, so a name
in it, or a certificate authority, would add nothing.
"""

import fcntl
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fraudlab.errors import UserError
from fraudlab.stack.certificates import VALID_FOR, as_pem, self_signed
from fraudlab.stack.layout import Layout, private_folder
from fraudlab.stack.secret_store import SecretStore, write_private

REST, INTERNAL = "rest", "internal"
SECRET = "flink_keys"  # noqa: S105 - the name of the password
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


def _write(layout: Layout, name: str, password: bytes) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import pkcs12

    key = rsa.generate_private_key(
        public_exponent=65537, key_size=2048
    )  # the ciphers that Flink offers by default are RSA's
    certificate = self_signed(key, f"fraudlab flink {name}", VALID_FOR)
    store(layout, name).unlink(missing_ok=True)  # interrupted from here on, all of it is made again
    if name == REST:
        write_private(pem(layout), b"".join(as_pem(key, certificate)))
    packed = pkcs12.serialize_key_and_certificates(
        name.encode(), key, certificate, None, serialization.BestAvailableEncryption(password)
    )
    write_private(store(layout, name), packed)
