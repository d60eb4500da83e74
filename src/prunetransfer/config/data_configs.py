"""How a backbone's images are prepared, where its entry does not say: the model's own data config.

timm and torchvision know it, but the workflow, which reads the config in every job, must not import them. So another
process is asked once, `python -m prunetransfer.config.data_configs`, and a file keeps its answers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prunetransfer.config.words import path
from prunetransfer.runtime.messages import words

KEYS = ("size", "mean", "std", "interpolation", "crop", "crop_mode")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
CROP_MODES = ("center", "squash", "border")
OF_ANOTHER_SIZE = ("img_size", "input_size", "dynamic_img_size", "strict_img_size")  # timm's options that allow one
# A network of one's own; the squares of most are cut out of the middle.
NO_DATA_CONFIG = {
    "crop_mode": "center",
    "unknown": "timm's architectures and torchvision's weights alone have a data config of their own",
    "fixed": False,
}


def border_of(mean: Sequence[float]) -> str:
    """The colour that a square of crop_mode `border` is filled up with, that of the mean: RRGGBB, hexadecimal."""
    return "".join(f"{round(255 * level):02x}" for level in mean)


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
        unknown, fixed = answer.pop("unknown"), answer.pop("fixed")
        options = entry.get("options", {})
        size = options.get("img_size")
        own = answer | ({"size": size} if type(size) is int else {})
        entry |= {key: own[key] for key in KEYS if key in own and key not in entry}
        if missing := [key for key in KEYS if key not in entry]:
            problems.append(f"{path(['backbones', name])}: needs {words(missing)}; {unknown}")
        elif fixed and entry["size"] != answer.get("size") and not options.keys() & set(OF_ANOTHER_SIZE):
            message = f"must be {answer['size']}, unless img_size among the options builds the architecture for another"
            problems.append(f"{path(['backbones', name, 'size'])} = {entry['size']}: {message}")
    return problems


def _ask(models: list[tuple[str, str]], cache: Path) -> list[dict[str, Any] | str]:
    """What `data_config` says of each model (architecture, source of its weights), or what is wrong."""
    # The names are part of the question: an answer that was kept before there was one of them is none.
    versions = f"timm {version('timm')}, torchvision {version('torchvision')}; {', '.join(KEYS)}"
    keys = [f"{architecture} with {_author(source)} ({versions})" for architecture, source in models]
    known = _kept(cache)
    own = [key for key, (name, source) in zip(keys, models, strict=True) if ":" in name and not _author(source)]
    known |= dict.fromkeys(own, NO_DATA_CONFIG)
    unknown = {key: model for key, model in zip(keys, models, strict=True) if key not in known}
    if unknown:
        from prunetransfer.storage.artifacts import write_text

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
        write_text(cache, json.dumps(kept, indent=1))
    return [known[key] if isinstance(known[key], str) else dict(known[key]) for key in keys]


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
    """What torchvision says of the weights, or timm of the architecture; imports them. Raises ValueError if unknown.

    Of timm, what its `resolve_model_data_config` says; `test_input_size` and `test_crop_pct`, with which its tables of
    results were made, do not count. A key that has no usable value is left out, and `unknown` says why; `fixed`: does
    the architecture read images of this size alone?
    """
    if _author(source):
        return _torchvision_config(source)
    import timm

    try:
        published = timm.models.get_pretrained_cfg(architecture)
    except RuntimeError as error:
        raise ValueError(f"architecture {architecture!r}: {error}") from None
    if published is None:
        raise ValueError(f"architecture {architecture!r}: timm has none of this name")
    return _usable(timm.data.resolve_data_config(pretrained_cfg=published.to_dict()), published.fixed_input_size)


def _torchvision_config(source: str) -> dict[str, Any]:
    from torchvision.models import get_weight

    try:
        preset = get_weight(source.removeprefix("torchvision:")).transforms()
    except (ValueError, KeyError, AttributeError):
        raise ValueError(f"torchvision has no weights of the name in {source!r}") from None
    try:
        (size,), (resized,) = preset.crop_size, preset.resize_size
    except AttributeError:
        raise ValueError(f"the weights in {source!r} are not those of an image classifier") from None
    values = (size, list(preset.mean), list(preset.std), preset.interpolation.value, size / resized, "center")
    return dict(zip(KEYS, values, strict=True)) | {"unknown": "", "fixed": False}


def _usable(config: dict[str, Any], fixed: bool) -> dict[str, Any]:
    """Of timm's data config what can be honoured here."""
    channels, height, width = config["input_size"]
    if channels != 3:
        raise ValueError(f"timm's data config is for images of {channels} channels; here they have 3")
    mean, std = list(config["mean"]), list(config["std"])
    values = (width, mean, std, config["interpolation"], config["crop_pct"], config["crop_mode"])
    honoured = (
        height == width,
        len(mean) == 3,
        len(std) == 3,
        config["interpolation"] in INTERPOLATIONS,
        0.1 <= config["crop_pct"] <= 1,
        config["crop_mode"] in CROP_MODES,
    )
    known = {key: value for key, value, can in zip(KEYS, values, honoured, strict=True) if can}
    shown = [f"{height} × {width} pixels", *(f"{key} {value}" for key, value in zip(KEYS[1:], values[1:], strict=True))]
    unknown = ", ".join(text for text, can in zip(shown, honoured, strict=True) if not can)
    return known | {"unknown": f"timm's data config has {unknown}", "fixed": bool(fixed) and "size" in known}


def _answer(architecture: str, source: str) -> dict[str, Any] | str:
    try:
        return data_config(architecture, source)
    except ValueError as error:
        return str(error)


if __name__ == "__main__":
    print(json.dumps([_answer(*model) for model in json.load(sys.stdin)]))
