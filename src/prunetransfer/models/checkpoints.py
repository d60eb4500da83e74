"""Checkpoints of each provider's format: their tensors, and those of them that are the headless backbone's."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn.modules.module import register_module_module_registration_hook

from prunetransfer.models.checkpoint_files import read_file
from prunetransfer.storage.artifacts import ArtifactError

LISTED = 8
LISTED_PAIRS = 4


class _Read(Exception):
    """Ends timm's loading, with the state dict that it was about to load."""

    def __init__(self, state: Mapping[str, Tensor]):
        self.state = dict(state)


def read_checkpoint(
    path: Path, entry: str | None = None, prefix: str = "", rename: Sequence[Mapping[str, str]] = ()
) -> dict[str, Tensor]:
    """The state dict of a safetensors file or of anything `torch.load(weights_only=True)` reads; no code in it runs.

    entry: the key that holds it, in a file that holds more, or the keys on the way to it, as in `model/trunk`. prefix:
    only the tensors whose name starts with it are kept, without it. rename: what `renamed` then does to the names.
    Raises ArtifactError, saying what is there, if that leaves no tensor or anything but tensors.
    """
    content = read_file(path)
    if entry is not None:
        content = _entry(content, entry, path)
    if not isinstance(content, Mapping):
        raise ArtifactError(f"{path}: holds more than a state dict of tensors: a {type(content).__name__}")
    state = {str(key).removeprefix(prefix): value for key, value in content.items() if str(key).startswith(prefix)}
    if not state:
        raise ArtifactError(f"{path}: no key starts with {prefix!r}; there are {_listed(content)}")
    others = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if others:
        found = _entries(content, f"{entry}/" if entry else "")
        raise ArtifactError(f"{path}: holds more than a state dict of tensors: {_listed(others)}{found}")
    return renamed(state, rename)


def renamed(state: Mapping[str, Tensor], rules: Sequence[Mapping[str, str]]) -> dict[str, Tensor]:
    """The tensors under other names. rules: each one regular expression → its replacement, as `re.sub` takes them.

    A rule applies to every name, in whatever the rules before have made of it. Raises ArtifactError for a rule that
    changes no name and for two tensors that end under one.
    """
    names = list(state)
    for pattern, replacement in (rule for entry in rules for rule in entry.items()):
        before, names = names, [re.sub(pattern, replacement, name) for name in names]
        if names == before:
            raise ArtifactError(f"rename: {pattern!r} changes none of the names {_listed(names)}")
    origins: dict[str, str] = {}
    for name, origin in zip(names, state, strict=True):
        if name in origins:
            raise ArtifactError(f"rename: {origins[name]} and {origin} both become {name}")
        origins[name] = origin
    return dict(zip(names, state.values(), strict=True))


def as_timm_reads(state: dict[str, Tensor], architecture: str, options: Mapping[str, Any]) -> dict[str, Tensor]:
    """What timm's loader makes of a published checkpoint: its names and classifier, position embeddings that fit."""
    import timm

    def stop(module: nn.Module, state: Mapping[str, Tensor], *_: Any) -> None:
        raise _Read(state)

    def watch(parent: nn.Module, name: str, child: nn.Module | None) -> None:
        parent.register_load_state_dict_pre_hook(stop)

    # timm hands what it has read to nobody but the network that it builds: `convert` loads it, and knows what is
    # missing. timm drops the classifier of a network of another number of classes than the checkpoint's: both are said
    # to have none.
    published = {"state_dict": state, "custom_load": False, "num_classes": 0}
    with register_module_module_registration_hook(watch):
        try:
            timm.create_model(architecture, pretrained=True, pretrained_cfg_overlay=published, num_classes=0, **options)
        except _Read as read:
            return read.state
    raise ArtifactError(f"{architecture}: timm loads no checkpoint into it")


def convert(
    state: Mapping[str, Tensor], network: nn.Module, ignore: Sequence[str] = (), missing: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Load a checkpoint into `network` and return the network's tensors, floats as float32.

    Left out are the checkpoint's classifier, where it is known, and the keys that match `ignore` (shell patterns); the
    network's tensors that match `missing` may stay as they are. Raises ArtifactError, listing missing and unexpected
    keys and differing shapes, unless all others match exactly: a backbone that keeps random weights by accident would
    still run. Prints what was left out and what stayed.
    """
    classifier = getattr(network, "pretrained_cfg", {}).get("classifier") or ()
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    dropped = _matching(state, [*ignore, *(f"{name}.*" for name in names)])
    kept = {key: value for key, value in state.items() if key not in dropped}
    wanted = network.state_dict()
    lacking = [key for key in wanted if key not in kept]
    # A count that evaluation does not read, and that older checkpoints do not have.
    staying = _matching(lacking, [*missing, "*.num_batches_tracked"])
    problems = {
        "missing": [key for key in lacking if key not in staying],
        "unexpected": [key for key in kept if key not in wanted],
        "of another shape": [
            f"{key} {list(kept[key].shape)}, not {list(tensor.shape)}"
            for key, tensor in wanted.items()
            # torch takes a list of one number for a single one
            if key in kept and kept[key].shape != tensor.shape and (tensor.dim() or kept[key].numel() != 1)
        ],
        # What quantisation leaves of weights, without the scale that they are multiplied by.
        "not of floating-point numbers": [
            f"{key} ({kept[key].dtype})"
            for key, tensor in wanted.items()
            if key in kept and tensor.is_floating_point() and not kept[key].is_floating_point()
        ],
        "NaN or infinite": [key for key in wanted if key in kept and not kept[key].isfinite().all()],
    }
    if any(problems.values()):
        what = "; ".join(f"{problem}: {_listed(keys)}" for problem, keys in problems.items() if keys)
        if not problems["of another shape"]:
            what += _paired(problems["missing"], wanted, problems["unexpected"], kept)
        raise ArtifactError(f"checkpoint and architecture differ: {what}")
    print(f"{len(kept)} tensors loaded; left out: {_listed(dropped)}; not in the checkpoint: {_listed(staying)}")
    network.load_state_dict(kept, strict=False)
    return {key: tensor.numpy() for key, tensor in network.float().state_dict().items()}


def _entry(content: Any, entry: str, path: Path) -> Any:
    """What lies under a key, or under several, joined by slashes."""
    inner = content
    for key in [entry] if isinstance(content, Mapping) and entry in content else entry.split("/"):
        keys = list(inner) if isinstance(inner, Mapping) else []
        if key not in keys:
            found = _entries(content)
            raise ArtifactError(f"{path}: there is no entry {entry!r}; there are {_listed(keys)}{found}")
        inner = inner[key]
    return inner


def _entries(content: Any, place: str = "") -> str:
    """A hint that names every mapping of text to tensors within `content`."""

    def places(inner: Mapping, place: str) -> Iterator[str]:
        for key, value in inner.items():
            if isinstance(key, str) and isinstance(value, Mapping):
                if any(isinstance(name, str) and isinstance(item, Tensor) for name, item in value.items()):
                    yield f"{place}{key}"
                yield from places(value, f"{place}{key}/")

    found = list(places(content, place)) if isinstance(content, Mapping) else []
    return f"; entry may name {_listed(found)}" if found else ""


def _paired(missing: Sequence[str], wanted: Mapping[str, Tensor], unexpected: Sequence[str], kept: Mapping) -> str:
    """A hint, where the checkpoint has the missing tensors in their order under other names, what follows aside."""
    unexpected = [key for key in unexpected if not key.endswith(".num_batches_tracked")]
    pairs = list(zip(missing, unexpected, strict=False))
    alike = [key for key, other in pairs if wanted[key].shape == kept[other].shape]
    if not missing or alike != list(missing):
        return ""
    first = ", ".join(f"{other} → {key}" for key, other in pairs[:LISTED_PAIRS])
    return f"; the tensors missing are there in the same order under other names, which `rename` can map: {first}"


def _matching(keys: Collection[str], patterns: Sequence[str]) -> list[str]:
    return [key for key in keys if any(fnmatch(key, pattern) for pattern in patterns)]


def _listed(keys: Collection[Any]) -> str:
    more = f" and {len(keys) - LISTED} more" if len(keys) > LISTED else ""
    return (", ".join(map(str, list(keys)[:LISTED])) or "none") + more
