"""JupyterLab's settings, which `fraudlab lab` points to by JUPYTER_CONFIG_PATH. What is secret comes in the environment."""

import os
from typing import Any

from jupyter_server import serverapp
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler
from traitlets.config import Config

settings: Config = get_config()  # type: ignore[name-defined] # noqa: F821 - JupyterLab provides it

# Browsers send a cookie to every port of its host, but only below its path: another user of this machine, who listens on a port, does
# not know this one's. After the server's end neither path nor cookie is of any use.
settings.ServerApp.base_url = os.environ["FRAUDLAB_JUPYTER_FOLDER"]
settings.ServerApp.cookie_secret = os.urandom(32)


class Elsewhere(RequestHandler):
    """Answers what is asked for outside the folder. Jupyter's own page for what is not there names the folder to anyone who asks."""

    def prepare(self) -> None:
        """Says nothing else."""
        self.set_status(404)
        self.finish("There is nothing here.")

    def check_xsrf_cookie(self) -> None:
        """Nothing is done here, so nothing needs protection."""


class OnlyInTheFolder(serverapp.ServerWebApplication):
    """JupyterLab, silent outside its folder."""

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """As Application.find_handler."""
        if not request.path.startswith(f"{self.settings['base_url'].rstrip('/')}/"):
            return self.get_handler_delegate(request, Elsewhere)
        return super().find_handler(request, **kwargs)


serverapp.ServerWebApplication = OnlyInTheFolder  # type: ignore[misc]
