"""Certificates that a private key signs itself: for connections of whose two ends one, or both, know the certificate."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

VALID_FOR = timedelta(days=3650)
"""Of a certificate that only this machine's own programs see."""


def self_signed(key: Any, name: str, valid_for: timedelta, hosts: Sequence[Any] = ()) -> Any:
    """The certificate of a private key of `cryptography`, signed with the key itself.

    Args:
        key: The private key.
        name: What the certificate is called.
        valid_for: How long it is valid.
        hosts: Names (`x509.GeneralName`) under which clients ask for the server. Without any it is for both ends of a connection that trust
            it and no other; with some it is for servers alone.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    usages = (
        [ExtendedKeyUsageOID.SERVER_AUTH]
        if hosts
        else [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(named)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks go wrong
        .not_valid_after(now + valid_for)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    return builder.sign(key, hashes.SHA256())


def as_pem(key: Any, certificate: Any) -> tuple[bytes, bytes]:
    """A private key and its certificate as text."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        certificate.public_bytes(Encoding.PEM),
    )
