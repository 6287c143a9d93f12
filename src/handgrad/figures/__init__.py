"""Figures drawn from plain lists and arrays, independent of runs."""

from handgrad.figures.confusion import confusion
from handgrad.figures.curves import curves
from handgrad.figures.doctor import layers, range_test
from handgrad.figures.drawing import FOREGROUND, drawn, save_png, save_svg
from handgrad.figures.reproduced import cases_over_steps
from handgrad.figures.speech import labelled_spectrogram

__all__ = [
    "FOREGROUND",
    "cases_over_steps",
    "confusion",
    "curves",
    "drawn",
    "labelled_spectrogram",
    "layers",
    "range_test",
    "save_png",
    "save_svg",
]
