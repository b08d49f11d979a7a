"""The certificate of the class server: one that the instructor has, or one that it makes and signs itself."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from socket import gethostname

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from fraudlab.classroom.room import Room
from fraudlab.errors import UserError
from fraudlab.stack.certificates import as_pem, self_signed
from fraudlab.stack.secret_store import write_private

OURS = "fraudlab class"
"""The name in certificates that we make."""
VALID_FOR = timedelta(days=365)
RENEWED_BEFORE = timedelta(days=7)


def provide(room: Room, certificate: Path | None = None, key: Path | None = None) -> str:
    """Puts a certificate and its key in place, and says in a sentence which.

    Given ones are copied. Without, those in place stay, unless they are ours and expire soon or lack an address of this machine: then new
    ones are made. Raises UserError where given ones can't be used.
    """
    if certificate is not None and key is not None:
        _take(room, certificate, key)
        return f"the certificate is {certificate}"
    if certificate is not None or key is not None:
        raise UserError(
            "A certificate needs its key, and a key its certificate.", "Give both: --certificate and --key."
        )
    if _stays(room):
        return "the certificate is the one of last time"
    _make(room)
    return "made a certificate, which browsers will warn of: compare its fingerprint"


def fingerprint(room: Room) -> str:
    """The SHA-256 fingerprint of the certificate, in pairs, as browsers show it."""
    return _read(room.certificate).fingerprint(hashes.SHA256()).hex(":").upper()


def context(room: Room) -> ssl.SSLContext:
    """TLS as the server speaks it. Raises ssl.SSLError where certificate and key don't belong together."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(room.certificate, room.key)
    return made


def _read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def _take(room: Room, certificate: Path, key: Path) -> None:
    probe = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        probe.load_cert_chain(certificate, key, password=lambda: b"")
        ends = _read(certificate).not_valid_after_utc
    except (OSError, ValueError) as error:
        raise UserError(
            f"The certificate {certificate} cannot be used with the key {key}: {error}.",
            "Give two PEM files: the certificate with all that signed it, and its key without a password.",
        ) from error
    if ends < datetime.now(UTC):
        raise UserError(
            f"The certificate {certificate} expired on {ends:%d %B %Y}.", "Renew it, or leave it out: one is made."
        )
    write_private(room.key, key.read_bytes())
    write_private(room.certificate, certificate.read_bytes())


def _stays(room: Room) -> bool:
    if not (room.certificate.exists() and room.key.exists()):
        return False
    there = _read(room.certificate)
    if there.subject != there.issuer or OURS not in there.subject.rfc4514_string():
        return True  # it was given
    names = there.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    has_all = all(name in names for name in _names(room))
    return has_all and there.not_valid_after_utc > datetime.now(UTC) + RENEWED_BEFORE


def _names(room: Room) -> list[x509.GeneralName]:
    """The names under which browsers may ask for the class server."""
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.DNSName(gethostname())]
    for host in room.hosts():
        try:
            names.append(x509.IPAddress(ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _make(room: Room) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = as_pem(key, self_signed(key, OURS, VALID_FOR, list(dict.fromkeys(_names(room)))))
    write_private(room.key, private)
    write_private(room.certificate, public)
