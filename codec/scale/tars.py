"""Recordings in tar archives, as WebDataset lays them out: files of one recording share a name to its dot."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Collection, Iterator
from typing import Any

from codec.scale.items import Item
from codec.scale.manifests import carried

_BLOCK = 512
_MAX_TEXT = 1 << 20


def read(path: str, suffixes: Collection[str]) -> Iterator[Item]:
    """The recordings in an archive, with what a `.json` or `.txt` of the same name says about them.

    A damaged archive gives those before the damage, and an item with an error in their place at the end.
    """
    members: list[tuple[str, int, int]] = []
    facts: dict[str, dict[str, Any]] = {}
    error = ""
    try:
        with open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for entry in archive:
                suffix = os.path.splitext(entry.name)[1].lower()
                if not entry.isreg() or entry.issparse():
                    continue
                if suffix in suffixes:
                    members.append((entry.name, entry.offset_data, entry.size))
                elif suffix in (".json", ".txt") and entry.size <= _MAX_TEXT:
                    facts.setdefault(_key(entry.name), {}).update(_facts(archive, entry, suffix))
            # tarfile takes a damaged header for the end of the archive, where there are only zeros.
            file.seek(archive.offset)
            if file.read(_BLOCK).strip(b"\0"):
                error = f"{path} is damaged after {len(members)} recordings."
    except (tarfile.TarError, OSError) as cause:
        error = f"{path} is cut short or no tar file after {len(members)} recordings ({cause})."
    for name, offset, size in members:
        yield Item(
            _key(name),
            f"{path}/{name}",
            os.path.abspath(path),
            offset=offset,
            size=size,
            columns=carried(facts.get(_key(name), {})),
        )
    if error:
        yield Item(path, path, os.path.abspath(path), error=error)


def _key(name: str) -> str:
    """What the files of one recording share: folder and name up to the first dot of the name."""
    folder, base = os.path.split(name)
    return os.path.join(folder, base.split(".", 1)[0])


def _facts(archive: tarfile.TarFile, entry: tarfile.TarInfo, suffix: str) -> dict[str, Any]:
    file = archive.extractfile(entry)
    content = b"" if file is None else file.read()
    try:
        if suffix == ".txt":
            return {"text": content.decode("utf-8").strip()}
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
