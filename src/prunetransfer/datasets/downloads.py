"""Datasets that are downloaded: where they lie, shared by all entries and studies, and how they get there."""

from __future__ import annotations

import os
import platform
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prunetransfer.settings.registry import find

DOWNLOADS = Path("resources/datasets")


def origin(entry: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """What decides which files an entry of the config's `datasets` downloads; empty where it downloads none.

    keys: the settings that its kind is `downloaded_by`; its other settings are read from the files.
    """
    return {key: entry[key] for key in ("kind", *keys) if entry.get(key) is not None} if keys else {}


def folder_of(origin: Mapping[str, Any], downloads: Path = DOWNLOADS) -> Path:
    """Where the files of an `origin` lie, in `downloads`: kind and name, and what else decides."""
    kind, *parts = origin.values()
    return downloads / kind / "@".join(parts).replace("/", "--")


def download(origin: Mapping[str, Any], folder: Path) -> None:
    """Fetch the files into `folder`, which appears when all are there; one that is there already is left as it is.

    Raises ValueError if the files cannot be fetched or are damaged, or this Python cannot unpack archives safely.
    """
    if folder.is_dir():
        return
    if not hasattr(tarfile, "data_filter"):  # without it torchvision unpacks whatever a path in an archive says
        raise ValueError(f"Python {platform.python_version()} cannot unpack archives safely; 3.11.4 and later can")
    kind = find("datasets", origin["kind"]).module
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        kind.download(partial, **{key: value for key, value in origin.items() if key != "kind"})
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
