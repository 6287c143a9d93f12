"""Exporting networks to a Python file, ONNX, PyTorch or safetensors, and importing weights."""

from handgrad.export.exporting import FORMS, export
from handgrad.export.importing import import_weights
from handgrad.export.trained import Trained, trained

__all__ = ["FORMS", "Trained", "export", "import_weights", "trained"]
