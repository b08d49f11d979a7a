# Runs first in each kernel that `fraudlab lab` starts (PYTHONSTARTUP), also where a cell in the middle is the first one.
def _begin() -> None:
    try:
        from IPython.core.getipython import get_ipython

        from fraudlab.course.messages import show_after_cells
        from fraudlab.course.notebook_errors import install
    except ImportError:  # another Python, in a terminal of JupyterLab
        return
    if (shell := get_ipython()) is not None:
        install(shell)
        show_after_cells(shell)


_begin()
del _begin
