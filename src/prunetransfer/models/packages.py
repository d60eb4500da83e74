"""Checkpoints that installed Python packages ship: `package:FILE` and `package:MODULE/path/to/FILE` in the config.

The workflow looks for them in every job, so this module imports little, and of those packages none: no code of theirs
runs.
"""

from __future__ import annotations

import importlib.resources
import importlib.util
from pathlib import Path

PREFIX = "package:"


def package_file(source: str) -> Path:
    """The file that `package:…` names.

    source: `package:FILE`, shipped with this package, or `package:MODULE/FILE`, where MODULE is what Python imports an
    installed package as and FILE a path in its folder. Raises ValueError, which says how to install it, if there is no
    such package, and FileNotFoundError if there is no such file in it.
    """
    module, slash, file = source.removeprefix(PREFIX).partition("/")
    if not slash:
        return _data() / module
    folder = _folder(module)
    path = (folder / file).resolve()
    if not path.is_file() or not path.is_relative_to(folder.resolve()):
        raise FileNotFoundError(f"there is no file {file!r} in {folder}")
    return path


def shipped() -> list[str]:
    """What this package ships, as the config names it."""
    return sorted(f"{PREFIX}{file.name}" for file in _data().glob("*.safetensors"))


def _data() -> Path:
    return Path(str(importlib.resources.files("prunetransfer"))) / "data"


def _folder(module: str) -> Path:
    if not module.isidentifier():
        raise ValueError(f"{module!r} is no package's name as Python imports it; write package:MODULE/path/to/FILE")
    spec = importlib.util.find_spec(module)  # of a top-level name this finds the file and does not run it
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"no package {module!r} is installed; try pip install {module.replace('_', '-')}")
    return Path(next(iter(spec.submodule_search_locations)))
