"""Models that onnxruntime runs, without PyTorch: what `codec export` makes."""

from codec.runtime.engine import OnnxEngine
from codec.runtime.manifest import is_exported

__all__ = ["OnnxEngine", "is_exported"]
