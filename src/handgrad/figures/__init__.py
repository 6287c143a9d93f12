"""Figures drawn from plain lists and arrays; nothing here knows what a run is."""

from handgrad.figures.curves import curves
from handgrad.figures.doctor import layers, range_test
from handgrad.figures.drawing import drawn, save_png
from handgrad.figures.phones import phone_confusion
from handgrad.figures.speech import labelled_spectrogram

__all__ = ["curves", "drawn", "labelled_spectrogram", "layers", "phone_confusion", "range_test", "save_png"]
