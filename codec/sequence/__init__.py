"""Codes as sequences of token ids for language models, and back: patterns, streams, special ids.

    pattern = sequence.flatten(tokens.codebook_sizes)
    ids = pattern.encode(tokens.codes[0])        # [codebooks, frames] -> [n], with BOS and EOS
    codes = pattern.decode(ids)                  # exactly what was encoded

Numpy alone. `codec.sequence.data` has PyTorch datasets of what `codec tokenize` makes, and
`codec.sequence.tokenizer` goes from audio to ids and back, under the names that Hugging Face's users know.
"""

from codec.sequence.blocks import BlockPattern, coarse_first, flatten, hierarchical, join_levels, split_levels
from codec.sequence.pattern import CodeStream, Ids, IdStream, Pattern
from codec.sequence.steps import StepPattern, delay, parallel
from codec.sequence.stored import from_plain, to_plain
from codec.sequence.vocabulary import BOS, EOS, PAD, Vocabulary

__all__ = [
    "BOS",
    "EOS",
    "PAD",
    "BlockPattern",
    "CodeStream",
    "IdStream",
    "Ids",
    "Pattern",
    "StepPattern",
    "Vocabulary",
    "coarse_first",
    "delay",
    "flatten",
    "from_plain",
    "hierarchical",
    "join_levels",
    "parallel",
    "split_levels",
    "to_plain",
]
