"""Sets up what `make` needs. Even a Python that is too old for it can say so here; the work is in fraudlab/stack/provision.

Usage: python3 bootstrap.py [--dev] [--browser]. Interrupted, it is run again; with nothing to do it ends at once.
"""

import sys

if sys.version_info < (3, 9):
    sys.exit(
        "This is Python {} ({}). The set-up needs 3.9 or newer; it then brings the Python 3.11 that PyFlink needs.\n"
        "Next: install a newer python3, or name one: make PYTHON=<path> <target>".format(
            sys.version.split()[0], sys.executable
        )
    )

from fraudlab.stack.provision import set_up

if __name__ == "__main__":
    sys.exit(set_up.main())
