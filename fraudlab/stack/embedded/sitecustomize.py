"""Read by every Python that the TaskManager starts, first of all by the one inside its JVM.

PyFlink imports Apache Beam before it looks whether it needs it, and Beam imports pandas, Google's clients and MongoDB's: two and a half
seconds of a processor and 100 MiB. Beam is for workers in processes of their own; inside the JVM (thread mode) nothing of it is
used, so there PyFlink is told that it is not to be had, which it takes as well.
"""

import sys

if not sys.orig_argv:  # no program: this interpreter is inside a JVM
    sys.modules["apache_beam"] = None  # type: ignore[assignment]
