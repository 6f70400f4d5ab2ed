"""The basis of the modified discrete cosine transform, which the spectral codec starts and ends with."""

from __future__ import annotations

import numpy as np


def mdct_basis(hop_length: int) -> np.ndarray:
    """Sine-windowed MDCT basis float32 `[hop_length, 2 * hop_length]`; its transpose inverts it.

    By overlap-add. Princen and Bradley 1986; orthonormal:
    `X_k = sqrt(2/N) sum_n w_n x_n cos(pi/N (n + 1/2 + N/2)(k + 1/2))`.
    """
    n, k = np.arange(2 * hop_length), np.arange(hop_length)[:, None]
    window = np.sin(np.pi / (2 * hop_length) * (n + 0.5))
    phase = np.pi / hop_length * (n + 0.5 + hop_length / 2) * (k + 0.5)
    basis = np.sqrt(2 / hop_length) * window * np.cos(phase)
    # A fixed-point grid makes the basis the same on machines whose cosines differ in the last bit.
    return np.asarray(np.round(basis * 2**22) / 2**22, np.float32)
