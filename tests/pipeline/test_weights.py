"""`snakemake weights` makes every backbone's weights, with the network's own data config where the entry is silent."""

from __future__ import annotations

import torch
from safetensors.torch import save_file

from prunetransfer.models.backbones import CLASSIFIER, build_network
from prunetransfer.storage.artifacts import read_metadata, read_tensors

OPTIONS = {"layers": [1, 1, 1, 1], "channels": [4, 4, 4, 8]}


def test_weights_of_every_source_are_fetched_alone(new_study, tmp_path, monkeypatch):
    revision = "0" * 40
    published = tmp_path / "hub/models--timm--resnet18.a1_in1k"
    (published / "refs").mkdir(parents=True)
    (published / "refs/main").write_text(revision)
    (published / "snapshots" / revision).mkdir(parents=True)
    torch.manual_seed(1)
    state = build_network("resnet18", OPTIONS, num_classes=1000).state_dict()
    save_file(state, published / "snapshots" / revision / "model.safetensors")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    entry = {"architecture": "resnet18.a1_in1k", "options": OPTIONS, "pretraining": "imagenet"}
    config = new_study.config
    config["backbones"] |= {
        "timm": entry | {"weights": {"source": "timm"}},
        "random": entry | {"weights": {"source": "random", "seed": 3}},
    }
    new_study.config = config
    new_study.run("weights")
    made = {path.name.rpartition("-")[0]: path for path in (new_study.folder / "resources/weights").iterdir()}
    assert sorted(made) == ["net", "random", "timm"]
    assert not (new_study.folder / "results/tiny/images").exists()
    found = read_tensors(made["timm"])
    for key in ("weight", "bias"):  # which heads of kind own read
        assert torch.equal(torch.from_numpy(found.pop(f"{CLASSIFIER}{key}")), state[f"fc.{key}"])
    assert found.keys() == state.keys() - {"fc.weight", "fc.bias"}
    assert all(torch.equal(torch.from_numpy(found[key]), state[key]) for key in found)
    assert len(read_metadata(made["timm"])["checkpoint_sha256"]) == 64
    torch.manual_seed(3)
    initial = build_network("resnet18", OPTIONS).state_dict()
    assert (read_tensors(made["random"])["conv1.weight"] == initial["conv1.weight"].numpy()).all()
    assert "images/red-224-bicubic-0.95" in new_study.planned()
    # A study that calls another network by the same name has a file of its own.
    config["backbones"]["random"]["weights"]["seed"] = 4
    new_study.config = config | {"study": "other"}
    planned = [job for job in new_study.planned() if job.startswith("resources/weights/")]
    assert len(planned) == 1 and planned[0].startswith("resources/weights/random-")
    assert planned[0] != f"resources/weights/{made['random'].stem}"
