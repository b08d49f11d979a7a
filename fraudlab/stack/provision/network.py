"""Where downloads come from: proxies, certificates and mirrors in the environment reach every tool that downloads."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fraudlab.stack.provision import bundle
from fraudlab.stack.provision.paths import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

FROM_PIP = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "proxy": "HTTPS_PROXY",
}
"""Which of pip's settings uv takes under which name."""

READ_BY_THE_TOOLS = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "UV_PYTHON_DOWNLOADS", "UV_PYTHON_INSTALL_MIRROR")
"""What pip, uv and requests read themselves: it is handed to them as it is."""

ADVICE = (
    "If a proxy or a company certificate is in the way, set HTTPS_PROXY, NO_PROXY or SSL_CERT_FILE; for mirrors see "
    "docs/settings.md. Then run the command again: what has arrived is kept."
)


def advice(first: str = "") -> str:
    """What to do about a download that failed: `first`, then ADVICE. About a bundle there is something else to say."""
    return bundle.ADVICE if bundle.is_here() else first + ADVICE


def environment(pip: list[str | Path]) -> dict[str, str]:
    """The environment for uv and for what downloads jars: today's, completed by the settings of `pip` (a command).

    What is set already wins. `requests`, which fetches the jars, has a name of its own for the certificates.
    """
    listed = subprocess.run(
        [*map(str, pip), "config", "list"],
        cwd=REPOSITORY,  # not in a folder of others: `-m` imports from where it is started
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    ).stdout
    return completed(os.environ, listed)


def completed(given: Mapping[str, str], pip_config: str) -> dict[str, str]:
    """`environment`, of a given environment and the output of `pip config list`."""
    found = {"UV_SYSTEM_CERTS": "true"}
    for line in pip_config.splitlines():
        name, _, value = line.partition("=")
        setting = FROM_PIP.get(name.rpartition(".")[2].strip(":"))
        if setting is not None:
            found[setting] = value.strip("'\"").replace("\\n", " ").strip()
    merged = {**found, **given}
    if merged.get("SSL_CERT_FILE"):
        merged.setdefault("REQUESTS_CA_BUNDLE", merged["SSL_CERT_FILE"])
    return merged


def for_pip(given: Mapping[str, str]) -> dict[str, str]:
    """The environment for pip, which fetches uv: uv's own settings under pip's names, unless pip has its own."""
    index = given.get("UV_DEFAULT_INDEX") or given.get("UV_INDEX_URL")
    names = {
        "PIP_INDEX_URL": index,
        "PIP_FIND_LINKS": given.get("UV_FIND_LINKS"),
        "PIP_CERT": given.get("SSL_CERT_FILE"),
    }
    return {**{name: value for name, value in names.items() if value}, **given}
