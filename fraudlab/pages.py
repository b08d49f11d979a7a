"""The addresses of the pages, and a browser that opens them."""

import os
import webbrowser
from html import escape

from fraudlab.errors import UserError
from fraudlab.settings import Settings
from fraudlab.stack import flink_page, ports
from fraudlab.stack.layout import Layout
from fraudlab.stack.secret_store import write_private
from fraudlab.stack.supervisor import Stack


def address(settings: Settings, page: str) -> str:
    """The address of `flink`, `dashboard` or `inbox`. Flink's holds a token, and is given only while our own guard has the port.

    Raises UserError if it does not: another program there would get the token.
    """
    if page != "flink":
        return settings.dashboard_url if page == "dashboard" else settings.inbox_page
    stack = Stack(settings)
    stack.require_own_ports()
    if not settings.in_container and not _is_our_guards(stack, settings.flink_page_port):
        raise UserError("Flink's web page is not running.", "`fraudlab up` starts what is not running.")
    return flink_page.address(settings, stack.secrets)


def _is_our_guards(stack: Stack, port: int) -> bool:
    """Whether the guard listens on the port. One that has just been started may find it taken."""
    pid = int(stack.processes().get(flink_page.NAME, {}).get("pid", 0)) if stack.is_running() else 0
    return pid != 0 and port in ports.of_process(pid)


def show(settings: Settings, url: str) -> bool:
    """Opens an address in a browser, if there is a screen for one. Returns whether it was tried.

    The browser gets the name of a file that leads there: other users of the machine see its arguments.
    """
    if settings.in_container or not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    file = Layout(settings.home).supervisor / "open.html"
    write_private(file, f'<!doctype html><meta http-equiv="refresh" content="0;url={escape(url)}">')
    return webbrowser.open(file.as_uri())
