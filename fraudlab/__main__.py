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

    app(prog_name="fraudlab")


if __name__ == "__main__":
    main()
