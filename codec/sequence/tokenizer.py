"""Audio to token ids and back, under the names that users of Hugging Face's tokenizers know."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from codec import shipped
from codec.errors import ConfigError, ModelError, OutputError
from codec.sequence.pattern import Ids, Pattern
from codec.sequence.stored import from_plain, to_plain
from codec.sequence.vocabulary import BOS, EOS, PAD
from codec.tokens import Tokens

if TYPE_CHECKING:
    from codec.codec import Codec

_FILE = "codec_tokenizer.json"


class CodecTokenizer:
    """A model and a pattern: `encode(audio, sample_rate) -> ids`, `decode(ids) -> audio`.

    It does not need transformers. The model is loaded when audio is first encoded or decoded.

    Args:
        pattern: its codebooks are those that the model encodes with.
        model: as `codec.load` takes it.
        weights_hash: of the weights that the ids belong to; those of the model if not given.
        runtime: as `codec.load` takes it.

    Raises:
        ModelError: the model has other weights, when it is loaded. ConfigError: or not these codebooks.
    """

    pad_token_id = PAD
    bos_token_id = BOS
    eos_token_id = EOS

    def __init__(
        self,
        pattern: Pattern,
        model: str | None = None,
        *,
        weights_hash: str | None = None,
        runtime: shipped.Runtime = "torch",
    ) -> None:
        self.pattern, self.model_name, self._hash, self._runtime = pattern, model, weights_hash, runtime

    @property
    def vocab_size(self) -> int:
        """All ids are below it."""
        return self.pattern.vocabulary.size

    def __len__(self) -> int:
        return self.vocab_size

    @cached_property
    def model(self) -> Codec:
        """The codec, loaded."""
        found = shipped.load(self.model_name, runtime=self._runtime)
        if self._hash not in (None, found.weights_hash):
            raise ModelError(
                f"This tokenizer belongs to weights {self._hash}, and {found.name} has {found.weights_hash}."
            )
        found.check_sizes(self.pattern.vocabulary.codebook_sizes)
        return found

    def encode(self, audio: np.ndarray, sample_rate: int, *, add_special_tokens: bool = True) -> Ids:
        """Ids of a recording of one channel, float `[samples]` or `[1, samples]`, at sample_rate Hz.

        Raises:
            ConfigError: several channels: mix them, or encode each by itself.
        """
        return self.batch_encode([audio], sample_rate, add_special_tokens=add_special_tokens)[0]

    def batch_encode(
        self, recordings: Sequence[np.ndarray], sample_rate: int, *, add_special_tokens: bool = True
    ) -> list[Ids]:
        """As `encode` for each, computed together."""
        sizes = self.pattern.vocabulary.codebook_sizes
        kbps = next(
            (rate for rate in self.model.kbps if self.model.sizes_for(rate) == sizes), self.model.kbps[-1]
        )
        found = self.model.encode_batch(recordings, sample_rate, kbps=kbps)
        return [self.ids(tokens, add_special_tokens=add_special_tokens) for tokens in found]

    def ids(self, tokens: Tokens, *, add_special_tokens: bool = True) -> Ids:
        """Ids of a recording that is encoded already; raises ConfigError when the codebooks are others."""
        sizes = self.pattern.vocabulary.codebook_sizes
        if tokens.channels != 1:
            raise ConfigError(f"The recording has {tokens.channels} channels: mix them, or encode each.")
        if tokens.codebook_sizes[: len(sizes)] != sizes:
            raise ConfigError(f"Tokens of codebooks {tokens.codebook_sizes} do not begin with {sizes}.")
        return self.pattern.encode(
            tokens.codes[0, : len(sizes)], bos=add_special_tokens, eos=add_special_tokens
        )

    def decode(self, ids: Ids, *, partial: bool = True) -> np.ndarray:
        """Audio float32 `[samples]` at the model's rate, of ids with special ids or without.

        partial: drop a last frame that is not whole, as where a language model stopped.
        Raises ConfigError for ids that no recording has.
        """
        codes = self.pattern.decode(np.asarray(ids), partial=partial)
        tokens = Tokens(
            codes=codes[None],
            codebook_sizes=self.pattern.vocabulary.codebook_sizes,
            frame_rate=Fraction(self.model.frame_rate),
            sample_rate=self.model.sample_rate,
            n_samples=None,
            model=self.model.name,
            weights_hash=self.model.weights_hash,
        )
        return self.model.decode(tokens)[0]

    def batch_decode(self, batch: Sequence[Ids], *, partial: bool = True) -> list[np.ndarray]:
        """As `decode` for each."""
        return [self.decode(ids, partial=partial) for ids in batch]

    def pad(self, batch: Sequence[Ids]) -> dict[str, np.ndarray]:
        """`input_ids` `[batch, n, *step]`, padded at the end, and `attention_mask` `[batch, n]`."""
        longest = max((len(ids) for ids in batch), default=0)
        padded = np.full((len(batch), longest, *self.pattern.step), PAD, np.int64)
        mask = np.zeros((len(batch), longest), np.int64)
        for row, ids in enumerate(batch):
            padded[row, : len(ids)] = ids
            mask[row, : len(ids)] = 1
        return {"input_ids": padded, "attention_mask": mask}

    def save_pretrained(self, folder: str | os.PathLike[str]) -> str:
        """Writes the settings, not the model, into a folder; returns the file. Raises OutputError."""
        path = os.path.join(folder, _FILE)
        value = {
            "model": self.model_name,
            "weights_hash": self._hash or self.model.weights_hash,
            "pattern": to_plain(self.pattern),
            "vocab_size": self.vocab_size,
            "pad_token_id": PAD,
            "bos_token_id": BOS,
            "eos_token_id": EOS,
        }
        try:
            os.makedirs(folder, exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                json.dump(value, file, indent=1)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}.") from error
        return path

    @classmethod
    def from_pretrained(
        cls, folder: str | os.PathLike[str], *, runtime: shipped.Runtime = "torch"
    ) -> CodecTokenizer:
        """The tokenizer that `save_pretrained` wrote; raises ConfigError when there is none."""
        path = os.path.join(folder, _FILE)
        try:
            with open(path, encoding="utf-8") as file:
                value: dict[str, Any] = json.load(file)
            pattern = from_plain(value["pattern"])
            return cls(pattern, value["model"], weights_hash=value["weights_hash"], runtime=runtime)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path} holds no tokenizer: save_pretrained writes one.") from error
