"""The way into the `fraudlab` command: first an environment in which it can work, then the command."""

import os
import sys

from fraudlab.stack import shell
from fraudlab.stack.provision.paths import REPOSITORY


def main() -> None:
    """Runs the command line."""
    shell.settle([sys.executable, "-P", "-m", "fraudlab", *sys.argv[1:]], shell.chosen_home(REPOSITORY / ".fraudlab"))
    os.umask(os.umask(0o077) | 0o022)  # nobody else writes to what we make: programs, configurations and pickled state
    from fraudlab.cli import app

    try:
        app(prog_name="fraudlab")
    except ModuleNotFoundError as missing:
        sys.exit(without(missing))


def without(missing: ModuleNotFoundError) -> str:
    """What is said where a package is not installed: the labs and the class server need more than the demo."""
    package = (missing.name or "").partition(".")[0]
    if package in ("", "fraudlab"):
        raise missing
    return f"The package {package} is not installed here: the labs and the class server need it.\nNext: `make lab` installs it."


if __name__ == "__main__":
    main()
