"""Corpora in tar shards, as WebDataset lays them out: the files of one recording share a name up to its dot.

A shard is indexed once, by its headers; after that a random segment is a seek inside the archive, and nothing
is unpacked or streamed. A `.json` file beside a recording may name its "speaker" and its "group".
"""

from __future__ import annotations

import glob
import itertools
import json
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codec.errors import AudioError
from codec.training.data.clips import AUDIO_SUFFIXES, Clip, Member, name_bad, not_empty, probe_all

_BLOCK = 512
_MAX_JSON = 1 << 20
_MAX_FILES = 1_000_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def shard_paths(pattern: str) -> list[Path]:
    """The files that a pattern means: a path, a glob (`*.tar`), braces (`{000..015}`, `{a,b}`), or all of it.

    Raises:
        AudioError: no file matches, or the pattern is an address rather than a path.
    """
    if "://" in pattern or pattern.startswith("pipe:"):
        raise AudioError(f"{pattern} is not a path: mount the store, or copy the shards to a disk.")
    paths: list[str] = []
    for text in itertools.islice(_expanded(pattern), _MAX_FILES):
        # A brace pattern may name shards that are missing: those are bad shards, not a shorter corpus.
        paths += sorted(glob.glob(text, recursive=True)) if glob.has_magic(text) else [text]
    if not any(os.path.isfile(path) for path in paths):
        raise AudioError(f"No shard matches {pattern}: check the path.")
    return [Path(path) for path in dict.fromkeys(paths)]


def _expanded(pattern: str) -> Iterator[str]:
    """`a{0..2}b` as a0b, a1b, a2b, from left to right."""
    found = _BRACES.search(pattern)
    if found is None:
        yield pattern
        return
    numbers = _RANGE.fullmatch(found[1])
    if numbers is None:
        choices: Any = found[1].split(",")
    else:
        choices = (
            str(i).zfill(len(numbers[1])) if numbers[1].startswith("0") else str(i)
            for i in range(int(numbers[1]), int(numbers[2]) + 1)
        )
    for choice in choices:
        yield from _expanded(pattern[: found.start()] + choice + pattern[found.end() :])


def read_shards(pattern: str) -> list[Clip]:
    """The recordings in all shards of a pattern, in order.

    Damaged shards, and unreadable recordings in good ones, are counted, named in the log and left out.

    Raises:
        AudioError: as shard_paths; or no shard is whole, or none holds readable audio.
    """
    paths = shard_paths(pattern)
    clips: list[Clip] = []
    bad_shards, bad_files = [], []
    for path in paths:
        try:
            members, facts = _index(path)
        except AudioError as error:
            bad_shards.append(str(error))
            continue
        for member, size in zip(members, probe_all([(path, m) for m in members]), strict=True):
            if size is None:
                bad_files.append(f"{path}/{member.name}")
            elif size[0] > 0:
                clips.append(_clip(path, member, size, facts.get(_key(member.name), {})))
    name_bad(bad_shards, "a damaged shard")
    name_bad(bad_files)
    if len(bad_shards) == len(paths):
        raise AudioError(
            f"None of the {len(paths)} shards of {pattern} is a whole tar file: {bad_shards[0]}."
        )
    return not_empty(clips, f"in {len(paths) - len(bad_shards)} of {len(paths)} shards of {pattern}")


def _clip(path: Path, member: Member, size: tuple[int, int], facts: dict[str, Any]) -> Clip:
    folder = os.path.dirname(member.name)
    speaker = facts.get("speaker")
    return Clip(
        path,
        *size,
        group=str(facts.get("group") or ""),
        speaker=f"{path.parent}/{folder}" if speaker is None and folder else str(speaker or path),
        member=member,
    )


def _key(name: str) -> str:
    """What the files of one recording share: folder and name up to the first dot of the name."""
    folder, base = os.path.split(name)
    return os.path.join(folder, base.split(".", 1)[0])


def _index(path: Path) -> tuple[list[Member], dict[str, dict[str, Any]]]:
    """The recordings in a shard, and what its JSON files say, by key; AudioError when it is damaged."""
    members, facts = [], {}
    try:
        with open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for entry in archive:
                suffix = os.path.splitext(entry.name)[1].lower()
                if not entry.isreg() or entry.issparse():
                    continue
                if suffix in AUDIO_SUFFIXES:
                    members.append(Member(entry.name, entry.offset_data, entry.size))
                elif suffix == ".json" and entry.size <= _MAX_JSON:
                    facts[_key(entry.name)] = _facts(archive, entry)
            # tarfile takes a damaged header for the end of the archive, where there are only zeros.
            file.seek(archive.offset)
            if file.read(_BLOCK).strip(b"\0"):
                raise AudioError(f"{path} is damaged after {len(members)} recordings")
    except tarfile.TarError as error:
        raise AudioError(f"{path} is cut short, compressed, or no tar file") from error
    except OSError as error:
        raise AudioError(
            f"{path} cannot be read ({(error.strerror or 'no reason given').lower()})"
        ) from error
    return members, facts


def _facts(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> dict[str, Any]:
    file = archive.extractfile(entry)
    try:
        value = json.loads(file.read()) if file is not None else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
