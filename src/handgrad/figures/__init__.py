"""Figures drawn from plain lists and arrays; nothing here knows what a run is."""

from handgrad.figures.curves import curves
from handgrad.figures.doctor import layers, range_test

__all__ = ["curves", "layers", "range_test"]
