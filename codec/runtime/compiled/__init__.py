"""A single frame of the spectral codec as compiled code, for the smallest delay of one live stream.

One frame reads every weight once and uses it once: what it costs is reading them. These kernels read them as
they are stored, in float16, and widen them on the way into the sum, which halves that. onnxruntime needs them
in float32. Longer stretches and batches use each weight many times, and go to onnxruntime.
"""

from codec.runtime.compiled.engine import NumbaEngine

__all__ = ["NumbaEngine"]
