"""Datasets for language models, and the tokenizer that goes from audio to ids and back."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from codec import Codec, sequence
from codec.audio import read_audio
from codec.errors import ConfigError, ModelError
from codec.scale.formats import Format
from codec.sequence.data import IGNORED, TokenWindows, collate
from codec.sequence.store import TokenStore, open_store
from codec.sequence.tokenizer import CodecTokenizer
from tests.conftest import SAMPLES
from tests.scale.conftest import tokenize

SIZES = [1024] * 3


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    folder = tmp_path_factory.mktemp("data") / "tokens"
    tokenize(SAMPLES, folder, format=Format.npy)
    return open_store(folder)


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    """Two seconds of speech at 16 kHz."""
    audio, rate = read_audio(SAMPLES / "voice_a.flac")
    assert rate == 16000
    return audio[0, : 2 * rate]


def test_windows_are_stretches_of_recordings(store: TokenStore) -> None:
    pattern = sequence.flatten(SIZES)
    windows = TokenWindows(store, pattern, 40)
    whole = [store.codes(i)[c] for i in range(len(store)) for c in range(store.recordings[i].shape[0])]
    assert len(windows) == sum(-(-codes.shape[1] // 40) for codes in whole)
    starts = set()
    for index in range(len(windows)):
        ids = windows[index].numpy()
        codes = pattern.decode(ids)
        # Silence is found in several places.
        places = [
            (row, t)
            for row, source in enumerate(whole)
            for t in range(source.shape[1] - codes.shape[1] + 1)
            if np.array_equal(source[:, t : t + codes.shape[1]], codes)
            and (ids[0] == sequence.BOS) == (t == 0)
            and (ids[-1] == sequence.EOS) == (t + codes.shape[1] == source.shape[1])
        ]
        assert places
        starts.add(places[0])
    assert len(starts) > len(whole)


def test_windows_depend_on_seed_epoch_and_index_alone(store: TokenStore) -> None:
    pattern = sequence.delay(SIZES)

    def epoch(number: int, workers: int = 0) -> list[torch.Tensor]:
        windows = TokenWindows(store, pattern, 30, seed=7)
        windows.set_epoch(number)
        return [batch[0] for batch in DataLoader(windows, num_workers=workers, batch_size=1)]

    first = epoch(0)
    assert all(torch.equal(a, b) for a, b in zip(first, epoch(0, workers=1), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, epoch(1), strict=True))


def test_fewer_codebooks_than_the_dataset_has_are_its_first_ones(store: TokenStore) -> None:
    pattern = sequence.parallel(SIZES[:2])
    windows = TokenWindows(store, pattern, None, recordings=[1])
    assert np.array_equal(pattern.decode(windows[0].numpy()), store.codes(1)[0, :2])
    with pytest.raises(IndexError):
        windows[len(windows)]


@pytest.mark.parametrize("pattern", [sequence.flatten(SIZES), sequence.delay(SIZES)])
def test_a_batch_is_padded_and_masked(store: TokenStore, pattern: sequence.Pattern) -> None:
    windows = TokenWindows(store, pattern, 25)
    short = pattern.encode(np.zeros((3, 4), np.uint16))
    batch = collate([windows[0], torch.from_numpy(short)])
    ids, mask, labels = batch["input_ids"], batch["attention_mask"], batch["labels"]
    assert mask.sum(1).tolist() == [len(windows[0]), len(short)]
    assert torch.equal(ids[1, : len(short)], torch.from_numpy(short))
    assert (ids[mask == 0] == sequence.PAD).all()
    assert torch.equal(labels == IGNORED, ids == sequence.PAD)
    assert torch.equal(labels[labels != IGNORED], ids[labels != IGNORED])


def test_windows_that_make_no_sense_are_refused(store: TokenStore) -> None:
    for pattern, frames, kept, reason in (
        (sequence.flatten([512] * 3), 10, None, "do not begin with"),
        (sequence.flatten(SIZES), 0, None, "Windows of 0"),
        (sequence.flatten(SIZES), 10, [], "no frames"),
    ):
        with pytest.raises(ConfigError, match=reason):
            TokenWindows(store, pattern, frames, recordings=kept)


def test_a_store_can_go_to_another_process(store: TokenStore) -> None:
    again = pickle.loads(pickle.dumps(store))
    assert np.array_equal(again.codes(0), store.codes(0))


@pytest.mark.parametrize(
    "pattern", [sequence.flatten(SIZES), sequence.coarse_first(SIZES, frames=25), sequence.delay(SIZES)]
)
def test_a_tokenizer_goes_from_audio_to_ids_and_back(
    pattern: sequence.Pattern, voice: np.ndarray, model: Codec, tmp_path: Path
) -> None:
    tokenizer = CodecTokenizer(pattern, runtime="onnx")
    ids = tokenizer.encode(voice, 16000)
    codes = model.encode(voice, 16000, codebooks=3).codes[0]
    assert np.array_equal(ids, pattern.encode(codes))
    assert ids.max() < tokenizer.vocab_size == len(tokenizer)
    tokenizer.save_pretrained(tmp_path)
    again = CodecTokenizer.from_pretrained(tmp_path, runtime="onnx")
    assert again.pattern == pattern
    assert np.array_equal(again.encode(voice, 16000), ids)
    heard = again.decode(ids)
    expected = model.decode(model.encode(voice, 16000, codebooks=3))[0]
    assert np.allclose(heard[: len(expected)], expected, atol=1e-5)


def test_a_batch_of_audio_has_the_ids_of_each(voice: np.ndarray) -> None:
    tokenizer = CodecTokenizer(sequence.flatten(SIZES), runtime="onnx")
    clips = [voice, voice[:9000], voice[5000:20000]]
    batch = tokenizer.batch_encode(clips, 16000, add_special_tokens=False)
    for clip, ids in zip(clips, batch, strict=True):
        assert np.array_equal(ids, tokenizer.encode(clip, 16000, add_special_tokens=False))
    padded = tokenizer.pad(batch)
    assert padded["input_ids"].shape == padded["attention_mask"].shape
    assert padded["attention_mask"].sum(1).tolist() == [len(ids) for ids in batch]
    for ids, heard in zip(batch, tokenizer.batch_decode(batch), strict=True):
        assert np.array_equal(heard, tokenizer.decode(ids))


def test_a_tokenizer_refuses_what_does_not_belong_to_it(voice: np.ndarray, tmp_path: Path) -> None:
    stereo = np.stack([voice, voice])
    tokenizer = CodecTokenizer(sequence.flatten(SIZES), runtime="onnx")
    with pytest.raises(ConfigError, match="2 channels"):
        tokenizer.encode(stereo, 16000)
    with pytest.raises(ModelError, match="codebooks are not its own"):
        CodecTokenizer(sequence.flatten([7, 7]), runtime="onnx").encode(voice, 16000)
    path = Path(tokenizer.save_pretrained(tmp_path))
    path.write_text(json.dumps({**json.loads(path.read_text()), "weights_hash": "0" * 16}))
    with pytest.raises(ModelError, match="belongs to weights 0000"):
        CodecTokenizer.from_pretrained(tmp_path, runtime="onnx").encode(voice, 16000)
    path.write_text("{}")
    with pytest.raises(ConfigError, match="no tokenizer"):
        CodecTokenizer.from_pretrained(tmp_path)
