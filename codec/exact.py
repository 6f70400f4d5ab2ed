"""Codes that do not depend on how they were computed: a float32 search, and a float64 recheck of close calls.

Matrix products of different shapes, thread counts or machines round differently, and a latent that lies
almost on the border between two codes may fall on either side. Here a latent that is closer to a border than
a float32 search can tell is searched for again in float64. If it is also closer than float32 layers can move
it, its frame is computed again in float64, from the stretch of audio that it depends on, and decided there.
The codes are then those of float64 arithmetic everywhere: for a stream cut in any way, for a batch, for one
thread or many.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import torch

from codec.models.network import CodecNetwork
from codec.nn import State
from codec.nn.rows import Row, gather
from codec.quantize import Quantizer
from codec.quantize.prepared import prepare
from codec.recheck import ROUNDING, SEARCH, Window, windows
from codec.variable import PRICES_KEPT


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
class EncoderRow:
    """Where one of many streams stands; fields as of `EncoderState`, of a batch of one."""

    layers: Row | None
    past: torch.Tensor | None = None
    frames: int = 0
    rechecked: int = 0

    def alone(self) -> EncoderRow:
        """The same, without keeping other rows' memory alive: for a stream that pauses."""
        past = None if self.past is None else self.past.clone()
        return EncoderRow(
            None if self.layers is None else self.layers.alone(), past, self.frames, self.rechecked
        )


@dataclass(frozen=True, eq=False)
class Search:
    """Which codes to look for (`ExactEncoder.search`).

    quantizer: searched first; exact: the same in float64. first_equals: as `Quantizer.first_equals`, or None
    where all vectors of all codebooks differ.
    """

    n_codebooks: int
    quantizer: Quantizer
    exact: Quantizer
    first_equals: list[torch.Tensor] | None

    def canonical(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes `[batch, n_codebooks, frames]` with the first of equal vectors in the place of each."""
        if self.first_equals is None:
            return codes
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
        # Where there is no float64, no layer can be more exact than usual.
        self._rounding = ROUNDING if network.device.type == "mps" else network.encoder.rounding
        count = len(network.quantizer.codebook_sizes)
        self._whole = self._search(network.quantizer, count)
        self._at_price = lru_cache(PRICES_KEPT)(partial(self._search, network.quantizer, count))

    def search(self, n_codebooks: int, quantizer: Quantizer | None = None, price: float = 0.0) -> Search:
        """What `step` looks for: n_codebooks of the network's quantizer, or of another one of its latents.

        price: as of `quantize.prepared.prepare`.
        """
        if quantizer is None:
            whole = self._whole if price == 0 else self._at_price(price)
            return replace(whole, n_codebooks=n_codebooks)
        return self._search(quantizer, n_codebooks, price)

    def _search(self, quantizer: Quantizer, n_codebooks: int, price: float = 0.0) -> Search:
        exact = prepare(copy.deepcopy(quantizer).to(self._place, torch.float64), price)
        # Equal vectors are equally near: which one a search returns is chance, so the first stands for all.
        firsts = [indices.cpu() for indices in quantizer.first_equals()]
        differ = all(torch.equal(indices, torch.arange(len(indices))) for indices in firsts)
        return Search(n_codebooks, prepare(quantizer, price), exact, None if differ else firsts)

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
        # A part of a frame is the end of a recording, for an encoder that fills it up by itself.
        batch, frames = len(audio), -(-audio.shape[-1] // self._hop)
        if frames == 0:
            return torch.zeros(batch, search.n_codebooks, 0, dtype=torch.long), state
        codes, unsure, layers = self._find(audio, state.layers, search)
        for row, count in enumerate(valid or ()):
            unsure[row, count:] = False
        past, rechecked = self._settle(codes, unsure, audio, state.past, state.frames, search)
        after = EncoderState(layers, past, state.frames + frames, state.rechecked + rechecked)
        return search.canonical(codes), after

    @torch.inference_mode()
    def step_rows(
        self, audio: torch.Tensor, states: Sequence[EncoderRow | None], search: Search
    ) -> tuple[torch.Tensor, list[EncoderRow]]:
        """As `step`, for rows that are streams of their own, each at another place.

        Args:
            audio: `[rows, 1, frames * frame_length]`, frames >= 1.
            states: what an earlier call returned for each row, or None at its start.
        """
        frames = audio.shape[-1] // self._hop
        layers = gather([None if state is None else state.layers for state in states])
        codes, unsure, layers = self._find(audio, layers, search)
        after = []
        for i, before in enumerate(states):
            state = EncoderRow(None) if before is None else before
            row = slice(i, i + 1)
            past, rechecked = self._settle(
                codes[row], unsure[row], audio[row], state.past, state.frames, search
            )
            after.append(EncoderRow(Row(layers, i), past, state.frames + frames, state.rechecked + rechecked))
        return search.canonical(codes), after

    def _find(
        self, audio: torch.Tensor, layers: State, search: Search
    ) -> tuple[torch.Tensor, torch.Tensor, State]:
        """Codes `[batch, n_codebooks, frames]`, which frames of them are unsure, and the layers' state."""
        if self._history is None:
            latents, layers = self._encoder64(audio.to(self._place, torch.float64), layers)
            codes = search.exact.encode(latents, search.n_codebooks).codes.cpu()
            return codes, torch.zeros(len(codes), codes.shape[2], dtype=torch.bool), layers
        with _full_precision(self._network.device):
            latents, layers = self._network.encoder(audio.to(self._network.device), layers)
            searched = search.quantizer.encode(latents, search.n_codebooks)
        # One size for all latents of a frame of codes: that of the largest.
        norms = latents.norm(dim=1).unflatten(1, (-1, self._stride)).amax(2)
        size = norms.clamp(min=self._typical)
        codes, unsure = searched.codes.cpu(), (searched.gap <= (self._rounding + SEARCH) * size).cpu()
        rows, frames = unsure.nonzero(as_tuple=True)
        if len(rows):
            found = search.exact.encode(self._frames(latents, rows, frames), search.n_codebooks)
            codes[rows, :, frames] = found.codes[:, :, 0].cpu()
            unsure[rows, frames] = found.gap[:, 0].cpu() <= self._rounding * size.cpu()[rows, frames]
        return codes, unsure, layers

    def _frames(self, latents: torch.Tensor, rows: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Of latents `[batch, dim, frames * stride]` what some frames of codes are made of, in float64.

        rows, frames: which, `[n]` each. Returns `[n, dim, stride]`.
        """
        grouped = latents.unflatten(2, (-1, self._stride)).transpose(1, 2)
        return grouped[rows.to(latents.device), frames.to(latents.device)].to(self._place, torch.float64)

    def _settle(
        self,
        codes: torch.Tensor,
        unsure: torch.Tensor,
        audio: torch.Tensor,
        past: torch.Tensor | None,
        before: int,
        search: Search,
    ) -> tuple[torch.Tensor | None, int]:
        """Decides what is unsure, in place in codes; returns the past that coming frames need, and a count.

        past: the audio before this. before: frames so far, without these.
        """
        if self._history is None:
            return None, 0
        seen = audio.cpu() if past is None else torch.cat([past, audio.cpu()], dim=-1)
        rechecked = int(unsure.sum())
        if rechecked:
            at_start = seen.shape[-1] == (before + unsure.shape[1]) * self._hop
            self._recheck(codes, unsure, seen, search, at_start=at_start)
        return seen[..., max(0, seen.shape[-1] - self._history) :], rechecked

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
        for group in windows(unsure.numpy(), old, reach, at_start=at_start):
            self._decide(codes, seen, search, group, old)

    def _decide(
        self, codes: torch.Tensor, seen: torch.Tensor, search: Search, group: list[Window], old: int
    ) -> None:
        audio = torch.stack(
            [seen[w.row, :, w.begin * self._hop : (w.begin + w.frames) * self._hop] for w in group]
        )
        assert self._history is not None
        reach = self._history // self._hop
        audio = audio.to(self._place, torch.float64)
        if all(w.decided[0] - w.begin >= reach for w in group):
            # The frames before those to decide only lead up to them: no layer computes more than it must.
            latents, skipped = self._encoder64.settled(audio), reach
        else:
            latents, skipped = self._encoder64(audio)[0], 0
        wanted = [(i, w.row, frame, w.begin + skipped) for i, w in enumerate(group) for frame in w.decided]
        item, row, frame, begin = (torch.tensor(column) for column in zip(*wanted, strict=True))
        exact = search.exact.encode(self._frames(latents, item, frame - begin), search.n_codebooks).codes
        codes[row, :, frame - old] = exact[:, :, 0].cpu()


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
