"""The stage scripts of one small study, one after the other in one process, as Snakemake would run them; without it.

python -m gpu.scripts FOLDER
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from gpu.scores import BLOCK
from gpu.trainings import RECOVERED, TUNED
from unit.networks import BACKBONES, SIZE, backbone_of, images_of

from prunetransfer.storage.artifacts import read_metadata, read_tensors, write_tensors

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"
JOB = {"backbone": "net", "criterion": "block@a", "seed": "0", "mask": "0.3", "targets": "a", "dataset": "a"}
LANDSCAPE = {"samples": 12, "eigenvalues": 2, "draws": None, "hessian_eigenvalue": True}


class Named:
    """What Snakemake gives to scripts: values in order, most of which have a name."""

    def __init__(self, *values: Any, **named: Any):
        self.values, self.named = [*values, *named.values()], named

    def __getattr__(self, name: str) -> Any:
        try:
            return self.named[name]
        except KeyError:
            raise AttributeError(name) from None

    def __getitem__(self, key: int | str) -> Any:
        return self.values[key] if isinstance(key, int) else self.named[key]

    def __iter__(self) -> Iterator[Any]:
        for value in self.values:
            yield from value if isinstance(value, list) else [value]

    def keys(self) -> Any:
        return self.named.keys()

    def get(self, name: str, default: Any = None) -> Any:
        return self.named.get(name, default)


def run(folder: Path, landscape: bool) -> None:
    """Fit a head; score, mask, mask in steps and recover in two ways; evaluate, and look around the dense weights."""

    def script(name: str, input: Named, output: Named, params: Mapping[str, Any], **job: str) -> None:
        about = {
            **{"rule": name, "input": input, "output": output, "params": Named(**params, code="none")},
            **{"log": [str(folder / f"{name}.log")], "threads": 1, "wildcards": Named(**JOB, **job)},
        }
        runpy.run_path(str(SCRIPTS / f"{name}.py"), {"snakemake": SimpleNamespace(**about)})

    def file(name: str) -> str:
        return str(folder / name)

    backbone = {"backbone": BACKBONES["conv"]}
    weights, head, mask = file("weights.safetensors"), file("head.safetensors"), file("mask.safetensors")
    train, test, score = file("train.safetensors"), file("test.safetensors"), file("score.safetensors")
    state = backbone_of().network.state_dict()
    write_tensors(weights, {name: tensor.numpy() for name, tensor in state.items()}, {})
    for place, path in enumerate((train, test)):
        split = images_of(60, place)
        brighter = split.images // 2 + (40 * split.labels[:, None, None, None]).to(torch.uint8)
        arrays = {"images": brighter.numpy(), "labels": split.labels.numpy()}
        write_tensors(path, arrays, {"classes": list(split.classes), "classes_before": []})
    ridge = {"head": {"kind": "ridge", "alpha": "auto"}}
    script("fit_head", Named(weights=weights, train=train), Named(head), backbone | ridge)
    source = {"weights": weights, "head": head, "train": train}
    settings = backbone | {"size": SIZE, "score": {"score": "block", **BLOCK}}
    script("compute_score", Named(**source), Named(score), settings)
    script(
        "build_mask", Named(scores=[score]), Named(mask), {"mask": {"mask": "global", "sparsity": 0.3}, "pattern": {}}
    )
    recoveries = {"finetune": TUNED | {"precision": "auto"}, "reconstruct": RECOVERED["reconstruct"][0]}
    for name, settings in recoveries.items():
        params = backbone | {"recovery": {"recovery": name, **settings}}
        files = (
            Named(**source | {"mask": mask}) if name == "finetune" else Named(weights=weights, train=train, mask=mask)
        )
        script("recover", files, Named(file(f"{name}.safetensors")), params, recovery=f"{name}@a")
    steps = {"mask": {"mask": "global", "sparsity": 0.3}, "pattern": {}, "rounds": 2, "refine": True}
    steps["recovery"] = {"recovery": "reconstruct", **recoveries["reconstruct"]}
    stepped = Named(mask=file("mask-in-steps.safetensors"), weights=file("stepped.safetensors"))
    script(
        "prune_in_steps", Named(weights=weights, scores=score, train=train, beside=[test]), stepped, backbone | steps
    )
    asked = {"targets": ["a"], "readouts": {"zero_shot": {}, "knn": {"neighbours": 5}}}
    evaluated = {"none": {"masks": [mask]}, "reconstruct": {"recovered": [file("reconstruct.safetensors")]}}
    for name, pruned in evaluated.items():
        files = Named(weights=weights, heads=[head], test=[test], train=[train], **pruned)
        rows = Named(rows=file(f"rows-{name}.parquet"), predictions=file(f"predictions-{name}.parquet"))
        script("evaluate", files, rows, backbone | asked, recovery=name)
    if landscape:
        spectrum, files = file("spectrum.safetensors"), Named(weights=weights, head=head, train=train)
        script("compute_spectrum", files, Named(spectrum), backbone | {"landscape": LANDSCAPE})
        files = Named(weights=weights, heads=[head], train=[train], masks=[mask])
        tables = Named(rows=file("perturb.parquet"), paths=file("paths.parquet"))
        script("perturb", files, tables, backbone | {"tasks": ["a"], "landscape": {"samples": 12, "steps": 2}})


def results(folder: Path) -> dict[str, np.ndarray]:
    """Every number that the scripts wrote, by file and name; not what a run costs."""
    found: dict[str, np.ndarray] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found |= {f"{path.stem}/{name}": array for name, array in read_tensors(path).items()}
    for path in sorted(folder.glob("*.parquet")):
        table = pd.read_parquet(path).select_dtypes("number").drop(columns="images_per_second", errors="ignore")
        found |= {f"{path.stem}/{name}": column.to_numpy() for name, column in table.items()}
    return found


def assert_close(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    """Two sets of `results` agree; what was fine-tuned as far as half precision lets it, which only a GPU uses."""
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        half = name.startswith("finetune/")
        np.testing.assert_allclose(
            found[name], values, rtol=0.05 if half else 1e-2, atol=0.05 if half else 1e-4, err_msg=name
        )


def devices(folder: Path) -> set[str]:
    """Where the scripts say that they computed; `mask` is NumPy's."""
    computed = ("head", "score", "stepped", "finetune", "reconstruct", "spectrum")
    paths = [folder / f"{name}.safetensors" for name in computed]
    return {read_metadata(path)["device"] for path in paths if path.exists()}


if __name__ == "__main__":
    from importlib.util import find_spec

    run(Path(sys.argv[1]), landscape=find_spec("curvlinops") is not None)
