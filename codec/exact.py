"""Codes that do not depend on how they were computed: a float32 search, and a float64 recheck of close calls.

Matrix products of different shapes, thread counts or machines round differently, and a latent that lies
almost on the border between two codes may fall on either side. Here a frame that is closer to a border than
rounding can move it is computed again in float64, from the stretch of audio that it depends on, and decided
there. The codes are then those of float64 arithmetic everywhere: for a stream cut in any way, for a batch,
for one thread or many.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from codec.models.network import CodecNetwork
from codec.nn import State
from codec.quantize import Quantizer

# Largest error of a float32 latent, relative to its norm (or, if larger, to a typical latent's): 4 times the
# largest seen over 10,000 frames of speech, music, silence, clicks and noise of all levels (2.4e-6), and 13
# times the largest error of a gap (8e-7), which only the part of the error in one direction changes.
_ROUNDING = 1e-5

# Frames recomputed at once: enough to be efficient, few enough for little memory.
_RECHECK_FRAMES = 1024


@dataclass(frozen=True)
class EncoderState:
    """Where a stream stands.

    layers: state of the encoder's layers, or None at the start.
    past: the audio `[batch, 1, samples]` that coming frames still depend on, as far as there is any.
    frames: frames so far. rechecked: how many of them (summed over the batch) were decided in float64.
    """

    layers: State = None
    past: torch.Tensor | None = None
    frames: int = 0
    rechecked: int = 0


@dataclass(frozen=True, eq=False)
class Search:
    """Which codes to look for (`ExactEncoder.search`).

    quantizer: searched first; exact: the same in float64. first_equals: as `Quantizer.first_equals`.
    """

    n_codebooks: int
    quantizer: Quantizer
    exact: Quantizer
    first_equals: list[torch.Tensor]

    def canonical(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes `[batch, n_codebooks, frames]` with the first of equal vectors in the place of each."""
        return torch.stack([self.first_equals[i][codes[:, i]] for i in range(codes.shape[1])], dim=1)


class ExactEncoder:
    """The encoder and quantizer of a network as a function of audio and an explicit state.

    A network without a finite receptive field (recurrent layers), or with a quantizer that does not know how
    close its calls were, is computed in float64 altogether. Frames here are frames of codes.
    """

    def __init__(self, network: CodecNetwork) -> None:
        self._network = network
        self._hop = network.config.frame_length
        self._stride = network.quantizer.stride
        history = network.encoder.history
        # In whole frames, so that a window always starts on a frame border.
        bounded = history is not None and network.quantizer.has_gaps
        self._history = -(-(history or 0) // self._hop) * self._hop if bounded else None
        # float64 copies, on the CPU where the device has no float64.
        place = "cpu" if network.device.type == "mps" else network.device
        self._encoder64 = copy.deepcopy(network.encoder).to(place, torch.float64)
        self._place = torch.device(place)
        self._typical = float(network.quantizer.typical_norm())
        self._whole = self._search(network.quantizer, len(network.quantizer.codebook_sizes))

    def search(self, n_codebooks: int, quantizer: Quantizer | None = None) -> Search:
        """What `step` looks for: n_codebooks of the network's quantizer, or of another one of its latents."""
        if quantizer is None:
            return replace(self._whole, n_codebooks=n_codebooks)
        return self._search(quantizer, n_codebooks)

    def _search(self, quantizer: Quantizer, n_codebooks: int) -> Search:
        exact = copy.deepcopy(quantizer).to(self._place, torch.float64)
        # Equal vectors are equally near: which one a search returns is chance, so the first stands for all.
        return Search(n_codebooks, quantizer, exact, [indices.cpu() for indices in quantizer.first_equals()])

    @torch.inference_mode()
    def step(
        self, audio: torch.Tensor, state: EncoderState, search: Search, valid: list[int] | None = None
    ) -> tuple[torch.Tensor, EncoderState]:
        """Codes of the next stretch of audio.

        Args:
            audio: `[batch, 1, frames * frame_length]` at the model's rate.
            state: what the previous call returned, or `EncoderState()`.
            search: which codes.
            valid: frames of each row that matter (a padded batch's rest is not rechecked); all if not given.

        Returns:
            Codes `[batch, n_codebooks, frames]`, int64 on the CPU, and the state after them.
        """
        batch, frames = len(audio), audio.shape[-1] // self._hop
        if frames == 0:
            return torch.zeros(batch, search.n_codebooks, 0, dtype=torch.long), state
        if self._history is None:
            latents, layers = self._encoder64(audio.to(self._place, torch.float64), state.layers)
            codes = search.exact.encode(latents, search.n_codebooks).codes
            return search.canonical(codes.cpu()), EncoderState(layers, None, state.frames + frames, 0)
        with _full_precision(self._network.device):
            latents, layers = self._network.encoder(audio.to(self._network.device), state.layers)
            searched = search.quantizer.encode(latents, search.n_codebooks)
        codes = searched.codes.cpu()
        # One bound for all latents of a frame of codes: that of the largest.
        norms = latents.norm(dim=1).unflatten(1, (-1, self._stride)).amax(2)
        bound = _ROUNDING * norms.clamp(min=self._typical)
        unsure = (searched.gap <= bound).cpu()
        for row, count in enumerate(valid or ()):
            unsure[row, count:] = False
        seen = audio.cpu() if state.past is None else torch.cat([state.past, audio.cpu()], dim=-1)
        rechecked = int(unsure.sum())
        if rechecked:
            at_start = seen.shape[-1] == (state.frames + frames) * self._hop
            self._recheck(codes, unsure, seen, search, at_start=at_start)
        past = seen[..., max(0, seen.shape[-1] - self._history) :]
        return search.canonical(codes), EncoderState(
            layers, past, state.frames + frames, state.rechecked + rechecked
        )

    def _recheck(
        self, codes: torch.Tensor, unsure: torch.Tensor, seen: torch.Tensor, search: Search, *, at_start: bool
    ) -> None:
        """Decides the unsure `[batch, frames]` in float64, in place in codes `[batch, n_codebooks, frames]`.

        `seen` is the audio of these frames and of what they depend on; at_start: it begins where the stream
        did.
        """
        assert self._history is not None
        reach = self._history // self._hop
        # Frames of `seen` are counted from its beginning; `unsure` is about the last of them.
        old = seen.shape[-1] // self._hop - unsure.shape[1]
        alike: dict[int, list[_Window]] = defaultdict(list)
        for row, marks in enumerate(unsure):
            for window in _windows(row, (marks.nonzero()[:, 0] + old).tolist(), reach, at_start):
                alike[window.frames].append(window)
        for frames, windows in alike.items():
            at_once = max(1, _RECHECK_FRAMES // frames)
            for first in range(0, len(windows), at_once):
                self._decide(codes, seen, search, windows[first : first + at_once], old)

    def _decide(
        self, codes: torch.Tensor, seen: torch.Tensor, search: Search, windows: list[_Window], old: int
    ) -> None:
        audio = torch.stack(
            [seen[w.row, :, w.begin * self._hop : (w.begin + w.frames) * self._hop] for w in windows]
        )
        latents = self._encoder64(audio.to(self._place, torch.float64))[0]
        wanted = [(i, w.row, frame, w.begin) for i, w in enumerate(windows) for frame in w.decided]
        item, row, frame, begin = (torch.tensor(column) for column in zip(*wanted, strict=True))
        # [item, frame, dim, stride]: what each frame of codes is made of.
        grouped = latents.unflatten(2, (-1, self._stride)).transpose(1, 2)
        exact = search.exact.encode(grouped[item, frame - begin], search.n_codebooks).codes[:, :, 0]
        codes[row, :, frame - old] = exact.cpu()


class _Window(NamedTuple):
    """Consecutive frames of a row of audio, and those of them to decide; the first has its past before it."""

    row: int
    begin: int
    frames: int
    decided: list[int]


def _windows(row: int, unsure: list[int], reach: int, at_start: bool) -> list[_Window]:
    """Windows for unsure frames (ascending), each of which depends on the `reach` frames before it."""
    windows = []
    if at_start:
        # A stream's start is a state of its own, which no run-in of zeros can replace.
        early = [frame for frame in unsure if frame < reach]
        if early:
            windows.append(_Window(row, 0, early[-1] + 1, early))
        unsure = unsure[len(early) :]
    if unsure:
        whole = _Window(row, unsure[0] - reach, unsure[-1] - unsure[0] + 1 + reach, unsure)
        if len(unsure) * (reach + 1) < whole.frames:
            windows += [_Window(row, frame - reach, reach + 1, [frame]) for frame in unsure]
        else:
            windows.append(whole)
    return windows


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """No TensorFloat-32 on Nvidia GPUs, whose errors are a thousand times those of float32."""
    if device.type != "cuda":
        yield
        return
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    cudnn.allow_tf32 = matmul.allow_tf32 = False
    try:
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before
