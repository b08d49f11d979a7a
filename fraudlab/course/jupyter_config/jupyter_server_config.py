"""JupyterLab's settings, which `fraudlab lab` points to by JUPYTER_CONFIG_PATH. What is secret comes in the environment."""

import os

from traitlets.config import Config

settings: Config = get_config()  # type: ignore[name-defined] # noqa: F821 - JupyterLab provides it

# Browsers send a cookie to every port of its host, but only below its path: another user of this machine, who listens on a port, does
# not know this one's. After the server's end neither path nor cookie is of any use.
settings.ServerApp.base_url = os.environ["FRAUDLAB_JUPYTER_FOLDER"]
settings.ServerApp.cookie_secret = os.urandom(32)

# Over TCP a kernel tells every user of the machine what it runs and prints. UNIX sockets are in a folder that only the owner enters.
if kernels := os.environ.get("FRAUDLAB_JUPYTER_KERNELS"):
    settings.KernelManager.transport = "ipc"
    settings.MultiKernelManager.connection_dir = kernels
