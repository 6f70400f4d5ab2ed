"""Checkpoints by their names on the Hugging Face hub: `hf:owner/name`, or `hf:owner/name@revision`."""

from __future__ import annotations

from pathlib import Path

from codec.errors import ModelError

# What a model consists of, in any of its forms; the rest of a repository may be large.
_FILES = ["config.json", "*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin*"]


def fetch(name: str) -> Path:
    """The folder of a model in the hub's cache, downloaded if the cache lacks it.

    The cache is huggingface_hub's own, so HF_HOME, HF_HUB_OFFLINE and the like mean what its manual says.

    Raises:
        ModelError: huggingface_hub is not installed, there is no such model, or it cannot be reached.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ImportError as error:
        raise ModelError("Names on the hub need huggingface_hub: pip install huggingface_hub.") from error
    repository, _, revision = name.partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=_FILES))
    except HFValidationError as error:
        raise ModelError(f"hf:{name} is no name on the hub: write hf:owner/name.") from error
    except GatedRepoError as error:
        raise ModelError(f"hf:{name} may only be downloaded by users that its owner admits.") from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ModelError(f"There is no hf:{name} on the hub.") from error
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"hf:{name} is not in the hub's cache, and the hub cannot be reached: go online once, or give "
            "the folder of a copy."
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise ModelError(f"hf:{name} cannot be downloaded: {error}.") from error
