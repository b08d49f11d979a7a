# Runs first in each kernel that `fraudlab lab` starts (PYTHONSTARTUP), also where a cell in the middle is the first one.
def _explain_errors() -> None:
    try:
        from IPython.core.getipython import get_ipython

        from fraudlab.course.notebook_errors import install
    except ImportError:  # another Python, in a terminal of JupyterLab
        return
    if (shell := get_ipython()) is not None:
        install(shell)


_explain_errors()
del _explain_errors
