"""`codec entropy learn`, and what the other commands make of its tables."""

import io
import json
from fractions import Fraction

import numpy as np
import pytest
import torch

from codec import tokenfile
from codec.cli import main
from codec.models import store
from codec.tokenfile.entropy import coder
from codec.tokenfile.entropy.find import SUFFIX
from codec.tokenfile.entropy.network import Network
from codec.tokens import Tokens
from codec.training.entropy import EntropyConfig, exported, learn
from codec.training.entropy_codes import vectors_of
from tests.networks import small_network

SIZES = (16, 16, 9)


def chained_codes(frames: int, seed: int) -> np.ndarray:
    """Codes [frames, stages] that follow from the frame before and from each other, but for some noise."""
    numbers = np.random.default_rng(seed)
    codes = np.zeros((frames, 3), np.uint16)
    for t in range(1, frames):
        jump = numbers.integers(0, 16) if numbers.random() < 0.2 else 0
        codes[t, 0] = (5 * codes[t - 1, 0] + 3 + jump) % 16
        codes[t, 1] = (codes[t, 0] + 7 + (numbers.integers(0, 16) if numbers.random() < 0.2 else 0)) % 16
        codes[t, 2] = codes[t, 1] % 9 if numbers.random() < 0.8 else numbers.integers(0, 9)
    return codes


def test_the_network_learns_what_follows_what_and_rounding_keeps_it():
    config = EntropyConfig(width=12, hidden=32, inner=16, spans=(1, 1, 2), steps=300, batch_frames=256)
    heard: list[float] = []
    clips = [chained_codes(500, seed) for seed in range(8)]
    network = learn(clips, SIZES, None, config, lambda step, bits: heard.append(bits))
    tables = exported(network, "chain", "0" * 16, {})
    other = chained_codes(2000, 99)
    bits = [8 * len(layer) / 2000 for layer in coder.encode(Network(tables), other.T[None])]
    # About 1.6 bits of surprise a code; order 0 has 4, 4 and 3.2.
    assert max(bits) < 2.6
    past = network.past
    codes = torch.from_numpy(other.astype(np.int64))
    with torch.no_grad():
        starts = torch.full((past + 2000,), past)
        logits = network.logits(network.inputs(torch.cat([codes[:1].expand(past, -1), codes]), starts))
        floats = torch.nn.functional.cross_entropy(logits.flatten(0, 1), codes.T.flatten()) / np.log(2)
    assert np.mean(bits) < float(floats) + 0.03


def test_learning_again_gives_the_same_tables():
    config = EntropyConfig(width=8, hidden=8, inner=8, spans=(1, 2), steps=5, batch_frames=64)
    clips = [chained_codes(100, 0)]
    made = [exported(learn(clips, SIZES, None, config, lambda *_: None), "m", "0" * 16, {}) for _ in range(2)]
    assert made[0].id == made[1].id


def test_the_vectors_of_codes_are_those_of_the_codebooks():
    network = small_network()
    found = vectors_of(network)
    assert found.shape == (4, 64, 12)
    for stage, vectors in enumerate(found):
        codes = torch.zeros(1, 4, 2, dtype=torch.long)
        codes[0, stage] = torch.tensor([3, 50])
        latents = network.quantizer.decode(codes)[0]
        assert torch.allclose(vectors[3] - vectors[50], latents[:, 0] - latents[:, 1], atol=1e-5)


@pytest.fixture
def model(tmp_path):
    """A model's weights in a folder of their own."""
    path = tmp_path / "model" / "small-spectral.safetensors"
    path.parent.mkdir()
    store.save(small_network(), path)
    return path


def test_learned_tables_are_used_by_encode_and_decode(model, tmp_path, make_corpus, capsys):
    corpus = make_corpus(3)
    (corpus / "bad.wav").write_bytes(b"no audio")
    assert main(["entropy", "learn", str(model), str(corpus), "--steps", "30", "--varied", "1"]) == 0
    shown = capsys.readouterr()
    assert "bits per code" in shown.out
    assert "bad.wav" in shown.err
    tables = tokenfile.load_tables(model.with_suffix(SUFFIX))
    assert tables.model == "small-spectral"

    source = str(corpus / "0.wav")
    for name, options in (("coded", []), ("plain", ["--no-entropy"])):
        target = str(tmp_path / f"{name}.cdc")
        assert main(["encode", source, "-o", target, "--model", str(model), *options]) == 0
    assert tokenfile.read_header(tmp_path / "coded.cdc").tables == tables.id
    assert tokenfile.read_header(tmp_path / "plain.cdc").entropy == 0
    assert tokenfile.read(tmp_path / "coded.cdc", tables=tables) == tokenfile.read(tmp_path / "plain.cdc")
    for name in ("coded", "plain"):
        target = str(tmp_path / f"{name}.wav")
        assert main(["decode", str(tmp_path / f"{name}.cdc"), "-o", target, "--model", str(model)]) == 0
    assert (tmp_path / "coded.wav").read_bytes() == (tmp_path / "plain.wav").read_bytes()

    capsys.readouterr()
    assert main(["info", str(tmp_path / "coded.cdc"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["entropy_tables"] == tables.id
    # There are tables already.
    assert main(["entropy", "learn", str(model), str(corpus), "--steps", "1"]) == 1


def test_learning_from_token_files_and_from_nothing(model, tmp_path, capsys):
    network, weights_hash = store.load(model)
    codes = np.random.default_rng(0).integers(0, 64, (1, 4, 200)).astype(np.uint16)
    rate = network.config.frame_rate
    tokens = Tokens(
        codes, (64,) * 4, Fraction(rate), 8000, None, model="small-spectral", weights_hash=weights_hash
    )
    (tmp_path / "corpus").mkdir()
    tokenfile.write(tmp_path / "corpus" / "a.cdc", tokens)
    target = tmp_path / "x.npz"
    arguments = ["entropy", "learn", str(model), str(tmp_path / "corpus"), "-o", str(target), "--steps", "2"]
    assert main(arguments) == 0
    tables = tokenfile.load_tables(target)
    file = io.BytesIO()
    tokenfile.write(file, tokens, tables=tables)
    assert tokenfile.read(io.BytesIO(file.getvalue()), tables=tables) == tokens
    (tmp_path / "corpus" / "a.cdc").write_bytes(b"")
    assert main([*arguments, "--force"]) == 1
    assert "no codes to learn from" in capsys.readouterr().err


def test_sizes_are_compared_side_by_side(tmp_path, capsys):
    numbers = np.random.default_rng(0)
    tokens = Tokens(
        numbers.integers(0, 64, (1, 4, 200)).astype(np.uint16),
        (64,) * 4,
        Fraction(50),
        16000,
        64000,
        model="m",
    )
    tokenfile.write(tmp_path / "a.cdc", tokens)
    assert main(["bench", "size", str(tmp_path / "a.cdc"), "--json", "--kbps", "0.6,1.2"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["kbps"] for row in rows[:: len(rows) // 2]] == [pytest.approx(0.6), pytest.approx(1.2)]
    assert rows[0]["method"] == "cdc, plain packing"
    assert rows[len(rows) // 2]["bytes"] == (tmp_path / "a.cdc").stat().st_size
    assert main(["bench", "size", str(tmp_path / "a.cdc")]) == 0
    assert "entropy coded" in capsys.readouterr().out
    assert main(["bench", "size", str(tmp_path / "none.cdc")]) == 1


@pytest.fixture
def make_corpus(tmp_path, speech):
    """A folder of that many short recordings."""
    from codec.audio import AudioWriter

    def make(count: int):
        folder = tmp_path / "recordings"
        folder.mkdir()
        for number in range(count):
            with AudioWriter(folder / f"{number}.wav", 8000, 1) as writer:
                writer.write(speech[None, 4000 * number : 4000 * (number + 1)])
        return folder

    return make
