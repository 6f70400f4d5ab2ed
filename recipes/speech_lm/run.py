"""A speech language model from end to end: tokenize a corpus, train, measure, sample, decode.

python recipes/speech_lm/run.py --data FOLDER --out runs/speech_lm
"""

from __future__ import annotations

import json
import logging
import math
import subprocess
import sys
import time
import warnings
import zlib
from pathlib import Path
from typing import Annotated

import lightning
import numpy as np
import torch
import typer
from entropies import order_0, order_1
from lightning.pytorch.callbacks import ModelCheckpoint
from lm import CodeLM
from torch.utils.data import DataLoader

from codec import sequence
from codec.audio import AudioWriter
from codec.sequence.data import IGNORED, TokenWindows, collate
from codec.sequence.store import TokenStore, open_store
from codec.sequence.tokenizer import CodecTokenizer


def main(
    data: Annotated[str, typer.Option(help="Recordings: anything that codec tokenize takes.")],
    out: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("runs/speech_lm"),
    kbps: Annotated[float, typer.Option(help="Of the codes.")] = 1.5,
    steps: Annotated[int, typer.Option(help="Of training; the default takes minutes on two cores.")] = 1000,
    batch: Annotated[int, typer.Option(help="Windows a step.")] = 8,
    frames: Annotated[int, typer.Option(help="Of a window; 50 are a second.")] = 200,
    seconds: Annotated[float, typer.Option(help="To sample, after a second of a held-out recording.")] = 4.0,
    seed: int = 0,
) -> None:
    """Runs everything; figures go to the terminal and to results.json."""
    lightning.seed_everything(seed, verbose=False)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    tokens = out / "tokens"
    # Recordings that cannot be read are listed in its errors.jsonl, and are no reason to stop.
    command = [sys.executable, "-c", "import sys; from codec.cli import main; sys.exit(main())"]
    options = ["-o", str(tokens), "--format", "npy", "--kbps", str(kbps)]
    subprocess.run([*command, "tokenize", data, *options], check=False)
    store = open_store(tokens)
    train, test = _split(store)
    pattern = sequence.delay(store.codebook_sizes)
    windows = TokenWindows(store, pattern, frames, recordings=train, seed=seed)
    typer.echo(f"{len(train)} recordings to train on, {len(test)} held out; {len(windows)} windows an epoch")
    model = CodeLM(pattern, steps=steps)
    begin = time.perf_counter()
    _train(model, windows, steps, batch, out, seed)
    took = time.perf_counter() - begin

    sizes = store.codebook_sizes
    codes = [
        [store.codes(i)[c] for i in part for c in range(store.recordings[i].shape[0])]
        for part in (train, test)
    ]
    rows = {
        "plain packing": np.log2(sizes),
        "order 0": order_0(*codes, sizes),
        "order 1, the code before": order_1(*codes, sizes, "time"),
        "order 1, the coarser code": order_1(*codes, sizes, "depth"),
        "language model": _bits(model, TokenWindows(store, pattern, None, recordings=test)),
    }
    typer.echo(f"trained {steps} steps in {took / 60:.1f} min; bits a code on held-out recordings:")
    for name, bits in rows.items():
        each = " ".join(f"{value:6.3f}" for value in bits)
        typer.echo(f"{name:26s} {bits.mean():6.3f}   codebooks: {each}")
    out.joinpath("results.json").write_text(
        json.dumps({"minutes": took / 60, "steps": steps, **{name: list(b) for name, b in rows.items()}})
    )
    _continue(model, store, test, out, round(seconds * 50), seed)


def _split(store: TokenStore) -> tuple[list[int], list[int]]:
    """Recordings to train on and to measure with, about one in ten: other speakers, where there are many."""
    speakers = [recording.columns["speaker"] for recording in store.recordings]
    many = len(set(speakers)) >= 20
    keys = [
        s if many else recording.columns["id"]
        for s, recording in zip(speakers, store.recordings, strict=True)
    ]
    held = {key for key in keys if zlib.crc32(key.encode()) % 10 == 0} or {keys[0]}
    return (
        [i for i, key in enumerate(keys) if key not in held],
        [i for i, key in enumerate(keys) if key in held],
    )


def _train(model: CodeLM, windows: TokenWindows, steps: int, batch: int, out: Path, seed: int) -> None:
    loader = DataLoader(
        windows,
        batch_size=batch,
        shuffle=True,
        collate_fn=collate,
        generator=torch.Generator().manual_seed(seed),
    )
    trainer = lightning.Trainer(
        default_root_dir=out,
        max_steps=steps,
        accelerator="auto",
        devices=1,
        gradient_clip_val=1.0,
        callbacks=[
            ModelCheckpoint(out, "lm", save_weights_only=True, enable_version_counter=False),
            _Epochs(windows),
        ],
        logger=False,
        enable_model_summary=False,
        log_every_n_steps=10,
    )
    trainer.fit(model, loader)
    model.eval()


class _Epochs(lightning.Callback):
    """Other windows in each epoch."""

    def __init__(self, windows: TokenWindows) -> None:
        self._windows = windows

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._windows.set_epoch(trainer.current_epoch)


@torch.inference_mode()
def _bits(model: CodeLM, recordings: TokenWindows) -> np.ndarray:
    """Bits a code of each codebook, of whole recordings; BOS, EOS and PAD are predicted but not counted."""
    total, count = np.zeros(model.pattern.codebooks), np.zeros(model.pattern.codebooks)
    for batch in DataLoader(recordings, batch_size=8, collate_fn=collate):
        labels = batch["labels"]
        labels[labels <= sequence.EOS] = IGNORED
        nats = model.loss(batch).double()
        total += nats.sum((0, 1)).numpy()
        count += (labels[:, 1:] != IGNORED).sum((0, 1)).numpy()
    return np.asarray(total / count / math.log(2))


def _continue(model: CodeLM, store: TokenStore, test: list[int], out: Path, frames: int, seed: int) -> None:
    """Writes a held-out recording as its codes have it, and its first second with what the model adds."""
    longest = max(test, key=lambda i: store.recordings[i].shape[2])
    codes = store.codes(longest)[0]
    prompt = model.pattern.encode(codes[:, :50], eos=False)[: 1 + 50]
    ids = model.sample(torch.from_numpy(prompt), frames, seed=seed).numpy()
    tokenizer = CodecTokenizer(model.pattern)
    tokenizer.save_pretrained(out)
    rate = tokenizer.model.sample_rate
    for name, sequence_ids in (("original", model.pattern.encode(codes)), ("continued", ids)):
        with AudioWriter(out / f"{name}.wav", rate, 1) as writer:
            writer.write(tokenizer.decode(sequence_ids)[None])
    typer.echo(f"wrote {out}/original.wav, {out}/continued.wav (its first second is the original's)")


if __name__ == "__main__":
    typer.run(main)
