"""What JupyterHub reads when it starts."""

from fraudlab.classroom.hub import configure
from fraudlab.settings import Settings

configure(get_config(), Settings())  # type: ignore[name-defined] # noqa: F821 - JupyterHub provides it
