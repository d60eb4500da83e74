"""How a backbone's images are prepared, where its entry does not say: the model's own data config.

timm and torchvision know it, but the workflow, which reads the config in every job, must not import them. So another
process is asked once, `python -m prunetransfer.config.data_configs`, and a file keeps its answers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prunetransfer.config.words import path, words

KEYS = ("size", "mean", "std", "interpolation", "crop")


def complete_backbones(backbones: dict[str, dict], cache: Path) -> list[str]:
    """Give each valid entry of the config's `backbones` the KEYS that it leaves out; return one line a problem.

    An image size among the architecture's options is the size that it reads.
    """
    lacking = {name: entry for name, entry in backbones.items() if not entry.keys() >= set(KEYS)}
    if not lacking:
        return []
    answers = _ask([(entry["architecture"], entry["weights"]["source"]) for entry in lacking.values()], cache)
    problems = []
    for (name, entry), answer in zip(lacking.items(), answers, strict=True):
        if isinstance(answer, str):
            problems.append(f"{path(['backbones', name])}: {answer}")
            continue
        size = entry.get("options", {}).get("img_size")
        own = answer | ({"size": size} if type(size) is int else {})
        entry |= {key: own[key] for key in KEYS if key in own and key not in entry}
        if missing := [key for key in KEYS if key not in entry]:
            known = "timm's architectures and torchvision's weights alone have a data config of their own"
            problems.append(f"{path(['backbones', name])}: needs {words(missing)}; {known}")
    return problems


def _ask(models: list[tuple[str, str]], cache: Path) -> list[dict[str, Any] | str]:
    """The data config of each model (architecture, source of its weights), {} where it has none, or what is wrong."""
    versions = f"timm {version('timm')}, torchvision {version('torchvision')}"
    keys = [f"{architecture} with {_author(source)} ({versions})" for architecture, source in models]
    known = _kept(cache)
    known |= {key: {} for key, (name, source) in zip(keys, models, strict=True) if ":" in name and not _author(source)}
    unknown = {key: model for key, model in zip(keys, models, strict=True) if key not in known}
    if unknown:
        from prunetransfer.artifacts import write_atomically

        package = Path(__file__).parents[2]
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            input=json.dumps(list(unknown.values())),
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")])},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"python -m {__name__} failed:\n{done.stderr}")
        answers = dict(zip(unknown, json.loads(done.stdout), strict=True))
        known |= answers
        kept = {key: answer for key, answer in known.items() if isinstance(answer, dict)}
        write_atomically(cache, lambda partial: partial.write_text(json.dumps(kept, indent=1)))
    return [known[key] for key in keys]


def _kept(cache: Path) -> dict[str, dict[str, Any]]:
    """What was answered before; nothing where the file is not there or is damaged, as asking again mends it."""
    try:
        return dict(json.loads(cache.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def _author(source: str) -> str:
    """The weights whose data config counts before the architecture's."""
    return source if source.startswith("torchvision:") else ""


def data_config(architecture: str, source: str) -> dict[str, Any]:
    """What torchvision says of the weights, or timm of the architecture; imports them. Raises ValueError if unknown."""
    if _author(source):
        from torchvision.models import get_weight

        try:
            preset = get_weight(source.removeprefix("torchvision:")).transforms()
        except (ValueError, KeyError, AttributeError):
            raise ValueError(f"torchvision has no weights of the name in {source!r}") from None
        (size,), (resized,) = preset.crop_size, preset.resize_size
        values = (size, list(preset.mean), list(preset.std), preset.interpolation.value, size / resized)
        return dict(zip(KEYS, values, strict=True))
    import timm

    try:
        published = timm.models.get_pretrained_cfg(architecture)
    except RuntimeError as error:
        raise ValueError(f"architecture {architecture!r}: {error}") from None
    if published is None:
        raise ValueError(f"architecture {architecture!r}: timm has none of this name")
    config = timm.data.resolve_data_config(pretrained_cfg=published.to_dict())
    _, height, width = config["input_size"]
    if height != width:
        raise ValueError(f"architecture {architecture!r} reads {height} × {width} pixels; only squares are known here")
    values = (width, list(config["mean"]), list(config["std"]), config["interpolation"], config["crop_pct"])
    return dict(zip(KEYS, values, strict=True))


def _answer(architecture: str, source: str) -> dict[str, Any] | str:
    try:
        return data_config(architecture, source)
    except ValueError as error:
        return str(error)


if __name__ == "__main__":
    print(json.dumps([_answer(*model) for model in json.load(sys.stdin)]))
