"""TLS inside the class server: hub, proxy, instructor's page and JupyterLabs prove themselves to each other.

They talk over ports of loopback. Another user of the machine can take such a port while its program is away. Without proof, this user
would be sent class codes and log-ins, and could tell a JupyterLab in the hub's name that a stranger is its learner. JupyterHub makes the
keys ("internal SSL"); the one of the instructor's page is ours.
"""

import asyncio
import logging
import shutil
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from fraudlab.classroom.room import Room
from fraudlab.settings import LOOPBACK

HUB, PROXY_API, PROXY_CLIENT, PAGE = "hub-internal", "proxy-api", "proxy-client", "page"
"""Names of keys: the hub's, the proxy's for the hub and for all others, and the page's."""
HUB_CA = "hub-ca"
"""Who signs the hub's certificate, and the page's."""


def folder(room: Room) -> Path:
    """Where the keys are; only the class's user enters the folder around it."""
    return room.folder / "internal"


def make(room: Room) -> None:
    """Makes new keys. Nothing of the class server may be running: it would know the old ones only."""
    shutil.rmtree(folder(room), ignore_errors=True)
    asyncio.run(_make(folder(room)))


async def _make(where: Path) -> None:
    from certipy import Certipy
    from jupyterhub.app import JupyterHub

    JupyterHub(
        internal_ssl=True, internal_certs_location=str(where), log_level=logging.ERROR
    ).init_internal_ssl()  # it wants an event loop
    Certipy(store_dir=str(where)).create_signed_pair(PAGE, HUB_CA, alt_names=[f"IP:{LOOPBACK}"])


def fingerprint(room: Room) -> str:
    """Tells these keys from others; "" where there are none."""
    _, certificate = _pair(room, HUB)
    if not certificate.exists():
        return ""
    return x509.load_pem_x509_certificate(certificate.read_bytes()).fingerprint(hashes.SHA256()).hex()


def as_hub(room: Room) -> ssl.SSLContext:
    """For asking the hub. Raises OSError where there are no keys."""
    return context(room, ssl.Purpose.SERVER_AUTH, HUB, HUB_CA)


def as_proxy(room: Room) -> ssl.SSLContext:
    """For asking hub, page and JupyterLabs as the proxy does."""
    return context(room, ssl.Purpose.SERVER_AUTH, PROXY_CLIENT, f"{PROXY_CLIENT}-ca")


def proxys_api(room: Room) -> ssl.SSLContext:
    """For the proxy's own port: it listens to the hub alone."""
    return context(room, ssl.Purpose.CLIENT_AUTH, PROXY_API, f"{PROXY_API}-ca")


def pages_files(room: Room) -> dict[str, object]:
    """For the instructor's page, as uvicorn wants it: the page answers the proxy, and no other user of this machine."""
    key, certificate = _pair(room, PAGE)
    return {
        "ssl_keyfile": str(key),
        "ssl_certfile": str(certificate),
        "ssl_ca_certs": str(_trusted(room, HUB_CA)),
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
    }


def context(room: Room, purpose: ssl.Purpose, name: str, authority: str) -> ssl.SSLContext:
    """Who speaks with it proves to be `name`, and speaks with those alone that this authority vouches for."""
    made = ssl.create_default_context(purpose, cafile=_trusted(room, authority))
    made.verify_mode = ssl.CERT_REQUIRED
    key, certificate = _pair(room, name)
    made.load_cert_chain(certificate, key)
    return made


def _pair(room: Room, name: str) -> tuple[Path, Path]:
    own = folder(room) / name
    return own / f"{name}.key", own / f"{name}.crt"


def _trusted(room: Room, authority: str) -> Path:
    return folder(room) / f"{authority}_trust.crt"
