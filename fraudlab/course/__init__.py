"""What makes it a workshop: exercises and their checks, the learner's workspace, the notebooks and the strict check of all of it.

A notebook begins with `from fraudlab.course import lab`. How the pieces depend on each other: docs/adding-a-lab.md.
"""
