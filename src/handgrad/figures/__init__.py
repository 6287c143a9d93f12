"""Figures drawn from plain lists and arrays; nothing here knows what a run is."""

from handgrad.figures.confusion import confusion
from handgrad.figures.curves import curves
from handgrad.figures.doctor import layers, range_test
from handgrad.figures.drawing import drawn, save_png, save_svg
from handgrad.figures.phones import phone_confusion

__all__ = ["confusion", "curves", "drawn", "layers", "phone_confusion", "range_test", "save_png", "save_svg"]
