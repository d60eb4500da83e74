"""Datasets read through the checkpoint's own classifier."""

from __future__ import annotations

import pytest
import torch
from timm.data import ImageNetInfo

from prunetransfer.datasets.splits import read_split
from prunetransfer.models.backbones import CLASSIFIER, extract_features, load_backbone
from prunetransfer.storage.artifacts import read_metadata, read_tensors
from prunetransfer.storage.schemas.accuracy import ACCURACY
from prunetransfer.storage.tables import read_table


def test_an_own_head_concerns_its_dataset_alone_and_needs_a_classifier(study):
    config = study.config
    config["datasets"]["blue"]["head"] = {"kind": "own"}
    study.config = config
    made = {job for job in study.planned() if job.split("/")[0] in ("images", "heads", "scores", "masks", "recovered")}
    assert made == {"heads/net/blue"}
    refused = study.snakemake()
    assert refused.returncode == 1
    lines = [line for line in refused.stderr.splitlines() if "head own" in line]
    assert len(lines) == 1
    message = "fit_head: head own: the checkpoint of weights.source net.pt holds no linear classifier of its features"
    assert lines[0].startswith(message)


def test_a_real_network_reads_imagenet_as_it_was_trained_to(new_study, shared_data):
    """../shared/data/README.md: 83.6% of one image of each of 500 classes, among 1000; among the 500 it is more."""
    whole = shared_data / "imagenet_sample"
    wnids = sorted(folder.name for folder in (whole / "val").iterdir())
    numbers = [ImageNetInfo().label_names().index(wnid) for wnid in wnids]
    new_study.config |= {
        "backbones": {
            "mobilenet": {
                "architecture": "mobilenetv2_100",
                "options": {"pad_type": "same"},
                "pretraining": "imagenet",
                "weights": {"source": str(shared_data / "weights/mobilenetv2_100_tf2ptq_fp16.pt")},
                "size": 224,
                "mean": [0.5] * 3,
                "std": [0.5] * 3,
                "interpolation": "bicubic",
                "crop": 0.875,
                "crop_mode": "center",
            }
        },
        "datasets": {
            "sample": {
                "kind": "folder",
                "path": str(whole),
                "train": "val",  # no head is fitted, so nothing is learnt from the images that are tested on
                "test": "val",
                "allow_overlap": True,
                "head": {"kind": "own", "classes": numbers},
            },
            "few": {"view_of": "sample", "classes": [wnids[k] for k in (400, 10, 250, 90, 330, 170, 20, 480, 120, 60)]},
        },
        "sources": ["sample"],
        "targets": ["sample", "few"],
        "targets_per_job": 2,
        "scores": {"magnitude": {}},
        "sparsities": [0.0],
        "recoveries": {"none": {}},
    }
    new_study.run("results/tiny/tables/accuracy.parquet")
    accuracy = read_table(new_study.folder / "results/tiny/tables/accuracy.parquet", ACCURACY).set_index("target")
    settings = new_study.config["backbones"]["mobilenet"] | {"exclude": []}
    (weights,) = (new_study.folder / "resources/weights").glob("mobilenet-*.safetensors")
    test = read_split(next(new_study.folder.glob("results/tiny/images/sample-*/test.safetensors")))
    weight, bias = (torch.from_numpy(read_tensors(weights)[f"{CLASSIFIER}{key}"]) for key in ("weight", "bias"))
    outputs = extract_features(load_backbone(settings, weights, torch.device("cpu")), test.images) @ weight.T + bias
    labels = torch.tensor(numbers)[test.labels]
    assert (outputs.argmax(1) == labels).double().mean().item() == pytest.approx(0.836, abs=0.01)
    among_them = (outputs[:, numbers].argmax(1) == test.labels).double().mean().item()
    assert accuracy.loc["sample", "dense_top1"] == pytest.approx(among_them, abs=0.003)
    assert accuracy.loc["few", "dense_top1"] >= 0.9  # of ten classes, in another order than the dataset's
    assert read_metadata(new_study.folder / "results/tiny/heads/mobilenet/few.safetensors")["kind"] == "own"
