"""Figures drawn from plain lists and arrays; nothing here knows what a run is."""

from handgrad.figures.curves import curves

__all__ = ["curves"]
