"""Mimi checkpoints: Kyutai's own, and those of Hugging Face (`MimiModel` of transformers 4 and 5).

Both are brought to the names of this package; what differs between them otherwise:

- Kyutai's files hold queries, keys and values as one matrix, and turn neighbouring channels (2 i, 2 i + 1) of
  a head by its rotary positions, as `nn.transformer` does; Hugging Face's hold three, and turn (i, i + half).
- Of a recording that is no whole number of frames, Kyutai's code fills up the audio with silence, and Hugging
  Face's lets every convolution fill up its own input. The imported model does what its origin does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from codec.errors import CheckpointError
from codec.interop.checkpoints import Checkpoint, Tensors, count, fit, setting, shape_of
from codec.models.config import CodecConfig, MimiConfig, SeanetConfig, TransformerConfig
from codec.quantize.config import ResidualConfig, SplitConfig

_EPSILON = 1e-5  # the least that a codebook's usage counts as
_HALVES = ("encoder", "decoder")

# From names in checkpoints to those here; the first pattern that fits a name is replaced.
_RENAMED = [
    (re.compile(pattern), new)
    for pattern, new in (
        # Kyutai.
        (
            r"(encoder|decoder)\.model\.(\d+)\.(?:conv\.conv|convtr\.convtr)\.",
            r"\1.seanet.model.layers.\2.conv.",
        ),
        (
            r"(encoder|decoder)\.model\.(\d+)\.block\.(\d+)\.conv\.conv\.",
            r"\1.seanet.model.layers.\2.block.layers.\3.conv.",
        ),
        (
            r"(encoder|decoder)\.model\.(\d+)\.shortcut\.conv\.conv\.",
            r"\1.seanet.model.layers.\2.shortcut.conv.",
        ),
        (r"(encoder|decoder)_transformer\.transformer\.layers\.", r"\1.transformer.layers."),
        (r"downsample\.conv\.conv\.conv\.", "encoder.downsample.conv."),
        (r"upsample\.convtr\.convtr\.convtr\.", "decoder.upsample.conv."),
        # Hugging Face, transformers 5 and, without the first word, 4.
        (
            r"(?:(?:en|de)coder\.)?(encoder|decoder)(?:_seanet)?\.layers\.(\d+)\.block\.(\d+)\.conv\.",
            r"\1.seanet.model.layers.\2.block.layers.\3.conv.",
        ),
        (
            r"(?:(?:en|de)coder\.)?(encoder|decoder)(?:_seanet)?\.layers\.(\d+)\.",
            r"\1.seanet.model.layers.\2.",
        ),
        (r"(?:(?:en|de)coder\.)?(encoder|decoder)_transformer\.layers\.", r"\1.transformer.layers."),
        (r"(?:encoder\.)?downsample\.conv\.", "encoder.downsample.conv."),
        (r"(?:decoder\.)?upsample\.conv\.", "decoder.upsample.conv."),
        # Both.
        (r"quantizer\.(?:rvq_first|semantic_residual_vector_quantizer)\.", "quantizer.semantic."),
        (r"quantizer\.(?:rvq_rest|acoustic_residual_vector_quantizer)\.", "quantizer.acoustic."),
    )
]
_INSIDE = [
    (re.compile(pattern), new)
    for pattern, new in (
        (r"(quantizer\.\w+)\.(?:vq\.)?layers\.(\d+)\._?codebook\.", r"\1.residual.stages.\2."),
        (r"(quantizer\.\w+)\.input_proj\.", r"\1.project."),
        (r"(quantizer\.\w+)\.output_proj\.", r"\1.unproject."),
        (
            r"(transformer\.layers\.\d+)\.self_attn\.(?:in_proj_weight|in_projs\.0\.weight)",
            r"\1.project.weight",
        ),
        (
            r"(transformer\.layers\.\d+)\.self_attn\.(?:out_proj|out_projs\.0|o_proj)\.weight",
            r"\1.unproject.weight",
        ),
        (r"(transformer\.layers\.\d+)\.(?:norm1|input_layernorm)\.", r"\1.attention_norm."),
        (r"(transformer\.layers\.\d+)\.(?:norm2|post_attention_layernorm)\.", r"\1.mlp_norm."),
        (r"(transformer\.layers\.\d+)\.(?:linear1|mlp\.fc1)\.", r"\1.expand."),
        (r"(transformer\.layers\.\d+)\.(?:linear2|mlp\.fc2)\.", r"\1.contract."),
        (
            r"(transformer\.layers\.\d+)\.(?:layer_scale_1|self_attn_layer_scale)\.scale",
            r"\1.attention_scale",
        ),
        (r"(transformer\.layers\.\d+)\.(?:layer_scale_2|mlp_layer_scale)\.scale", r"\1.mlp_scale"),
    )
]
_SUMS, _USAGES = ("embedding_sum", "embed_sum", "embed_avg"), ("cluster_usage", "cluster_size")
_IGNORED = r"quantizer\.\w+\.residual\.stages\.\d+\.(_?initialized|inited)"


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether the checkpoint is Mimi's: no other codec has a split quantizer."""
    if checkpoint.config.get("model_type") == "mimi":
        return True
    return any(re.match(r"quantizer\.(rvq_first|semantic_residual)", name) for name in checkpoint.tensors)


def configuration(checkpoint: Checkpoint) -> CodecConfig:
    """Sizes by the shapes of the tensors; the others by config.json, or as in Kyutai's model."""
    found = _translated(checkpoint)
    names = found.tensors
    seanet, hop = _seanet(found)
    stride = shape_of(found, "encoder.downsample.conv.weight")[2] // 2
    layer = "encoder.transformer.layers.0"
    expand = shape_of(found, f"{layer}.expand.weight")
    stage = shape_of(found, "quantizer.semantic.residual.stages.0.codebook")

    def codebooks(part: str) -> ResidualConfig:
        number = count(names, rf"quantizer\.{part}\.residual\.stages\.(\d+)\.")
        return ResidualConfig(n_codebooks=number, codebook_size=stage[0])

    return CodecConfig(
        name="mimi",
        sample_rate=_optional(checkpoint, "sampling_rate", 24_000),
        hop_length=hop * stride,
        latent_dim=expand[1],
        network=MimiConfig(
            seanet=seanet,
            transformer=TransformerConfig(
                layers=count(names, r"encoder\.transformer\.layers\.(\d+)\."),
                heads=_heads(checkpoint),
                hidden=expand[0],
                context=_optional(checkpoint, "sliding_window", 250),
                max_period=_max_period(checkpoint),
            ),
            stride=stride,
        ),
        quantizer=SplitConfig(dim=stage[1], semantic=codebooks("semantic"), acoustic=codebooks("acoustic")),
    )


def weights(checkpoint: Checkpoint, wanted: Mapping[str, torch.Tensor]) -> Tensors:
    """The tensors under the names of `wanted`; raises CheckpointError."""
    return fit(wanted, _translated(checkpoint), lambda name: name, _IGNORED)


def _seanet(found: Checkpoint) -> tuple[SeanetConfig, int]:
    """SEANet's sizes, and its hop length."""
    pattern = r"encoder\.seanet\.model\.layers\.(\d+)\.conv\.weight"
    plain = sorted(int(match[1]) for name in found.tensors if (match := re.fullmatch(pattern, name)))
    shapes = [shape_of(found, f"encoder.seanet.model.layers.{index}.conv.weight") for index in plain]
    if len(shapes) < 3:
        raise CheckpointError(f"{found.where} lacks convolutions of Mimi's encoder: it is damaged.")
    blocks = count(found.tensors, r"encoder\.seanet\.model\.layers\.(\d+)\.block\.")
    inner = shape_of(found, "encoder.seanet.model.layers.1.block.layers.1.conv.weight")
    ratios = tuple(shape[2] // 2 for shape in shapes[1:-1])
    hop = 1
    for ratio in ratios:
        hop *= ratio
    config = SeanetConfig(
        channels=shapes[0][0],
        ratios=ratios[::-1],
        kernel_size=shapes[0][2],
        last_kernel_size=shapes[-1][2],
        residual_kernel_size=inner[2],
        residual_layers=blocks // len(ratios),
        dilation_base=_optional(found, "dilation_growth_rate", 2),
        compress=inner[1] // max(1, inner[0]),
        conv_shortcut=any(".shortcut." in name for name in found.tensors),
        padding="constant" if found.config else "zeros",
    )
    return config, hop


def _translated(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with our names where they are known, whole codebooks, and one matrix for attention."""
    tensors = {_renamed(name): tensor for name, tensor in checkpoint.tensors.items()}
    heads = _heads(checkpoint)
    for half in _HALVES:
        for layer in range(count(tensors, rf"{half}\.transformer\.layers\.(\d+)\.")):
            _join_attention(tensors, f"{half}.transformer.layers.{layer}", heads)
    for name in list(tensors):
        base, _, last = name.rpartition(".")
        if last in _SUMS:
            usage = next((key for key in _USAGES if f"{base}.{key}" in tensors), None)
            if usage is None:
                raise CheckpointError(f"{checkpoint.where} lacks {base}.{_USAGES[0]}: it is damaged.")
            counts = tensors.pop(f"{base}.{usage}").float().clamp(min=_EPSILON)
            if counts.ndim != 1 or tensors[name].shape[:1] != counts.shape:
                raise CheckpointError(f"{checkpoint.where} is damaged: {name} does not fit its usage.")
            tensors[f"{base}.codebook"] = tensors.pop(name).float() / counts[:, None]
    return replace(checkpoint, tensors=tensors)


def _renamed(name: str) -> str:
    for patterns in (_RENAMED, _INSIDE):
        for pattern, new in patterns:
            changed, times = pattern.subn(new, name, count=1)
            if times:
                name = changed
                break
    return name


def _join_attention(tensors: Tensors, layer: str, heads: int) -> None:
    """Hugging Face's three matrices of a layer as one, their channels in Kyutai's order."""
    parts = [f"{layer}.self_attn.{kind}_proj.weight" for kind in "qkv"]
    if not all(part in tensors for part in parts):
        return
    query, key, value = (tensors.pop(part) for part in parts)
    if query.shape != key.shape or query.ndim != 2 or len(query) % (2 * heads):
        raise CheckpointError(f"Attention with {heads} heads does not fit {parts[0]}: {tuple(query.shape)}.")
    tensors[f"{layer}.project.weight"] = torch.cat([_paired(query, heads), _paired(key, heads), value])


def _paired(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows (i, i + half) of every head's `[head, in]` as rows (2 i, 2 i + 1)."""
    split = weight.view(heads, 2, len(weight) // heads // 2, weight.shape[1])
    return split.transpose(1, 2).reshape(weight.shape)


def _heads(checkpoint: Checkpoint) -> int:
    heads = _optional(checkpoint, "num_attention_heads", 8)
    if _optional(checkpoint, "num_key_value_heads", heads) != heads or heads < 1:
        raise CheckpointError(
            f"{checkpoint.where} shares keys between heads, which Mimi's own model does not."
        )
    return heads


def _max_period(checkpoint: Checkpoint) -> float:
    rope = checkpoint.config.get("rope_parameters")
    places: tuple[Any, ...] = (rope if isinstance(rope, dict) else {}, checkpoint.config)
    for place in places:
        value = place.get("rope_theta")
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return 10_000.0


def _optional(checkpoint: Checkpoint, key: str, default: int) -> int:
    """A whole number of config.json, where there is one that says it."""
    if checkpoint.config.get(key) is None:
        return default
    value: int = setting(checkpoint, key, int)
    return value
