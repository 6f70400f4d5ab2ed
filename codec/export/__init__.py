"""From a network in PyTorch to ONNX graphs (`codec export`), which `codec.runtime` runs without PyTorch."""

from codec.export.export import export

__all__ = ["export"]
