"""What tests of training share."""

from __future__ import annotations

import numpy as np
import pytest
import torch


@pytest.fixture(scope="session")
def segments(speech: np.ndarray) -> torch.Tensor:
    """Segments of half a second of speech, `[n, 1, 8000]`."""
    count = len(speech) // 8000
    return torch.from_numpy(speech[: count * 8000].reshape(count, 1, 8000))
