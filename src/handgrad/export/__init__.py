"""Leaving with a network: as one Python file, ONNX, PyTorch or safetensors."""

from handgrad.export.exporting import FORMS, export
from handgrad.export.trained import Trained, trained

__all__ = ["FORMS", "Trained", "export", "trained"]
