"""Brings what a machine lacks: Python 3.11, Java, packages, jars, libraries. Without root, and from any Python since 3.9.

Standard library only, and no syntax newer than Python 3.9: `bootstrap.py` runs this before there is an environment.
"""
