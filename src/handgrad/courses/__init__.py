"""Drop-in replacements for the assignment files of two courses, based on `handgrad.nn` and `handgrad.torch`.

`handgrad.courses.cmu11785` has the names of CMU 11-785's homework 1, `handgrad.courses.uvadlc` those of the University
of Amsterdam's assignment 1. `export` writes files with the courses' names that import them.

    >>> sorted(EDITIONS["cmu-f19"].files)
    ['hw1.py', 'hw1/__init__.py', 'hw1/hw1.py']
"""

from handgrad.courses.export import EDITIONS, Edition, export

__all__ = ["EDITIONS", "Edition", "export"]
