"""Leaving with a network: as one Python file, ONNX, PyTorch or safetensors; and coming back with weights."""

from handgrad.export.exporting import FORMS, export
from handgrad.export.importing import import_weights
from handgrad.export.trained import Trained, trained

__all__ = ["FORMS", "Trained", "export", "import_weights", "trained"]
