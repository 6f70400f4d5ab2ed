import dataclasses
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import shipped
from codec.errors import ConfigError
from codec.tokenfile import load_tables
from codec.tokenfile.entropy.find import SUFFIX, tables_beside, tables_of
from codec.tokenfile.entropy.tables import Layer
from tests.tokenfile.entropy.examples import HASH, TABLES, small_tables


def saved(tables) -> bytes:
    file = io.BytesIO()
    tables.save(file)
    return file.getvalue()


def test_tables_come_back_as_they_were_saved(tmp_path):
    path = tmp_path / "small.npz"
    path.write_bytes(saved(dataclasses.replace(TABLES, about={"frames": "12"})))
    found = load_tables(path)
    assert found.id == TABLES.id
    assert found.about == {"frames": "12"}
    assert (found.model, found.weights_hash) == ("small", HASH)
    assert (found.codebook_sizes, found.spans) == (TABLES.codebook_sizes, TABLES.spans)
    assert np.array_equal(found.output.weight, TABLES.output.weight)


def test_the_id_names_everything_that_decides_bytes():
    others = [
        small_tables(seed=1),
        small_tables(weights_hash="f" * 16),
        dataclasses.replace(TABLES, spans=(4, 2, 1)),
        dataclasses.replace(TABLES, embedding=np.roll(TABLES.embedding, 1)),
        dataclasses.replace(TABLES, output=dataclasses.replace(TABLES.output, shift=TABLES.output.shift + 1)),
    ]
    assert len({TABLES.id, *(other.id for other in others)}) == 6
    assert dataclasses.replace(TABLES, about={"a": "b"}).id == TABLES.id == small_tables().id


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.data())
def test_damaged_tables_are_a_config_error(tmp_path_factory, data):
    whole = saved(TABLES)
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(whole[:at])
    else:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :])
    try:
        found = load_tables(path)
    except ConfigError:
        return
    assert found.id == TABLES.id  # a byte that says nothing, as a date in the archive


def test_tables_that_are_no_tables_are_a_config_error(tmp_path):
    path = tmp_path / "a.npz"
    for data in (b"", b"PK", json.dumps({}).encode()):
        path.write_bytes(data)
        with pytest.raises(ConfigError, match=r"a\.npz"):
            load_tables(path)
    with open(path, "wb") as file:
        np.savez(file, other=np.zeros(3))
    with pytest.raises(ConfigError):
        load_tables(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_tables(tmp_path / "none.npz")


def test_tables_that_inflate_are_refused_before_they_do(tmp_path):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, facts=np.zeros(1 << 27, np.uint8))
    with pytest.raises(ConfigError, match="too large"):
        load_tables(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"codebook_sizes": (64,) * 5},
        {"codebook_sizes": (64, 64, 64, 1)},
        {"codebook_sizes": ()},
        {"spans": (1, 2)},
        {"spans": (1, 2, 3)},
        {"spans": ()},
        {"embedding": TABLES.embedding.astype(np.int16)},
        {"embedding": TABLES.embedding[0]},
        {"inner": TABLES.output},
        {"hidden": Layer(TABLES.hidden.weight, TABLES.hidden.bias * 0 + (1 << 24), TABLES.hidden.shift)},
        {"hidden": Layer(TABLES.hidden.weight, TABLES.hidden.bias, TABLES.hidden.shift + 30)},
    ],
)
def test_parts_that_do_not_fit_are_a_config_error(changes):
    with pytest.raises(ConfigError):
        dataclasses.replace(TABLES, **changes)


def test_tables_are_found_by_the_weights_that_they_are_for(tmp_path):
    older = small_tables(seed=1)
    (tmp_path / f"a_former{SUFFIX}").write_bytes(saved(older))
    (tmp_path / f"small{SUFFIX}").write_bytes(saved(TABLES))
    (tmp_path / f"broken{SUFFIX}").write_bytes(b"PK")
    found = tables_of("small", HASH, tmp_path)
    assert found is not None
    assert found.id == TABLES.id
    assert tables_of("small", "f" * 16, tmp_path) is None
    assert tables_of("small", "", tmp_path) is None
    beside = tables_beside(tmp_path / "small.safetensors", HASH)
    assert beside is not None
    assert beside.id == TABLES.id
    assert tables_beside(tmp_path / "small.safetensors", "f" * 16) is None
    assert tables_beside(tmp_path / "other.safetensors") is None


def test_shipped_models_have_tables_for_their_weights():
    for name in shipped.names():
        model = shipped.load(name)
        tables = tables_of(model.name, model.weights_hash)
        assert tables is not None, f"codec entropy learn {name} CORPUS makes tables for these weights"
        assert tables.codebook_sizes == model.codebook_sizes
