"""Names on the hub, without a network: what the cache holds, and what it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.interop import peers

REVISION = "0123456789abcdef0123456789abcdef01234567"


def cached(home: Path) -> None:
    """A cache that holds facebook/encodec_24khz, as huggingface_hub lays it out."""
    repository = home / "hub" / "models--facebook--encodec_24khz"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(REVISION)
    peers.hugging_face_encodec().save_pretrained(repository / "snapshots" / REVISION)


def load(home: Path, *names: str) -> list[str]:
    """What codec.load says of each name, offline."""
    script = (
        "import sys, codec\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        print(codec.load(name).info()['name'])\n"
        "    except codec.ModelError as error:\n"
        "        print(error)\n"
    )
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    found = subprocess.run(
        [sys.executable, "-c", script, *names], env=environment, capture_output=True, text=True, check=True
    )
    return found.stdout.splitlines()


def test_the_cache_is_respected_and_what_it_lacks_is_a_clear_error_offline(tmp_path: Path) -> None:
    cached(tmp_path)
    there, revision, absent, nonsense = load(
        tmp_path,
        "hf:facebook/encodec_24khz",
        f"hf:facebook/encodec_24khz@{REVISION}",
        "hf:descript/dac_44khz",
        "hf:no such/name/at all",
    )
    assert there == revision == "encodec_24khz"
    assert absent.startswith("hf:descript/dac_44khz is not in the hub's cache, and the hub cannot be reached")
    assert nonsense.endswith("write hf:owner/name.")
