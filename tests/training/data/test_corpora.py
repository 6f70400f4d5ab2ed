"""Public corpora by name, each on a tiny tree in its own layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from codec.errors import AudioError, ConfigError
from codec.training.data import VCTK, LibriSpeech, LibriTTS, LJSpeech, SegmentConfig
from tests.training.data.conftest import MakeAudio

CONFIG = SegmentConfig(seconds=0.5, batch_size=2, batches_per_epoch=2, workers=0)


@pytest.fixture
def root(tmp_path: Path, make_audio: MakeAudio) -> Path:
    """All four corpora, with two or three speakers of two utterances."""
    for subset, speakers in (("train-clean-100", ("19", "26")), ("dev-clean", ("84",))):
        for speaker in speakers:
            folder = tmp_path / "LibriSpeech" / subset / speaker / "198"
            names = [f"{speaker}-198-000{i}" for i in range(2)]
            for name in names:
                make_audio(folder / f"{name}.flac")
            (folder / f"{speaker}-198.trans.txt").write_text("".join(f"{n} SOME WORDS\n" for n in names))
            for i in range(2):
                make_audio(
                    tmp_path / "LibriTTS" / subset / speaker / "198" / f"{speaker}_198_00000{i}_000000.wav",
                    rate=24000,
                )
    lines = []
    for i in range(4):
        make_audio(tmp_path / f"LJSpeech-1.1/wavs/LJ001-000{i}.wav", rate=22050)
        lines.append(f'LJ001-000{i}|in "1|in "one\n')
    (tmp_path / "LJSpeech-1.1/metadata.csv").write_text("".join(lines))
    for speaker in ("p225", "p226", "s5"):
        for i in (1, 2):
            name = f"{speaker}_00{i}"
            text = tmp_path / f"VCTK-Corpus-0.92/txt/{speaker}/{name}.txt"
            text.parent.mkdir(parents=True, exist_ok=True)
            text.write_text("Words.\n")
            for mic in ("mic1", "mic2"):
                make_audio(
                    tmp_path / f"VCTK-Corpus-0.92/wav48_silence_trimmed/{speaker}/{name}_{mic}.flac", 1, 48000
                )
    return tmp_path


def test_librispeech_has_its_speakers_and_its_own_validation(root: Path) -> None:
    data = LibriSpeech(str(root), segments=CONFIG)
    train, valid = data.clips
    assert [clip.speaker for clip in train] == ["19", "19", "26", "26"]
    assert [clip.path.name for clip in valid] == ["84-198-0000.flac", "84-198-0001.flac"]
    assert next(iter(data.train_dataloader())).shape == (2, 1, 8000)


def test_several_parts_are_one_corpus(root: Path) -> None:
    data = LibriSpeech(str(root), subset=["train-clean-100", "dev-clean"])
    assert [clip.speaker for clip in data.clips[0]] == ["19", "19", "26", "26", "84", "84"]


def test_libritts_has_its_speakers_and_its_rate(root: Path) -> None:
    train, valid = LibriTTS(str(root)).clips
    assert {clip.rate for clip in train} == {24000}
    assert ([clip.speaker for clip in train], len(valid)) == (["19", "19", "26", "26"], 2)


def test_ljspeech_holds_out_its_end(root: Path) -> None:
    train, valid = LJSpeech(str(root), valid_share=0.25).clips
    assert [clip.path.stem for clip in train] == ["LJ001-0000", "LJ001-0001", "LJ001-0002"]
    assert [clip.path.stem for clip in valid] == ["LJ001-0003"]


@pytest.mark.parametrize("mic", ["mic1", "mic2"])
def test_vctk_holds_out_speakers_and_keeps_to_one_microphone(root: Path, mic) -> None:
    train, valid = VCTK(str(root), mic=mic, valid_speakers=("p226",)).clips
    assert {clip.speaker for clip in train} == {"p225", "s5"}
    assert {clip.speaker for clip in valid} == {"p226"}
    assert all(clip.path.stem.endswith(mic) for clip in train + valid)
    with pytest.raises(AudioError, match="no speaker p999"):
        VCTK(str(root), valid_speakers=("p999",)).setup("fit")


@pytest.mark.parametrize("corpus", [LibriSpeech, LibriTTS, LJSpeech, VCTK])
def test_a_missing_corpus_says_how_to_get_it(tmp_path: Path, corpus) -> None:
    with pytest.raises(AudioError, match=r"--data\.download=true"):
        corpus(str(tmp_path / "nothing")).setup("fit")
    assert not (tmp_path / "nothing").exists()


def test_a_corpus_that_is_not_whole_names_what_is_missing(root: Path) -> None:
    (root / "LibriSpeech/train-clean-100/19/198/19-198.trans.txt").unlink()
    with pytest.raises(AudioError, match=r"not whole: .*19-198\.trans\.txt is missing"):
        LibriSpeech(str(root)).setup("fit")
    (root / "LJSpeech-1.1/metadata.csv").unlink()
    with pytest.raises(AudioError, match=r"not whole: .*metadata\.csv is missing"):
        LJSpeech(str(root)).setup("fit")


def test_missing_and_unreadable_utterances_are_named_and_left_out(
    root: Path, warnings: pytest.LogCaptureFixture
) -> None:
    (root / "LJSpeech-1.1/wavs/LJ001-0001.wav").unlink()
    (root / "LJSpeech-1.1/wavs/LJ001-0002.wav").write_bytes(b"")
    train, valid = LJSpeech(str(root), valid_share=0).clips
    assert (len(train), len(valid)) == (2, 0)
    assert "LJ001-0001.wav" in warnings.text
    assert "2 left out" in warnings.text


def test_parts_that_do_not_exist_are_errors(root: Path) -> None:
    wrong: list = ["train-clean-1000"]
    with pytest.raises(ConfigError, match="train-clean-360"):
        LibriSpeech(str(root), subset=wrong).setup("fit")
    with pytest.raises(ConfigError, match="mic3"):
        VCTK(str(root), mic="mic3").setup("fit")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="valid_share"):
        LJSpeech(str(root), valid_share=1)
