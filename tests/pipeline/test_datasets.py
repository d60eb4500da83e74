"""Views and downloads of datasets in the workflow."""

from __future__ import annotations

import json

import pytest
from unit.torchvision_files import WRITERS

from prunetransfer.datasets.splits import read_split
from prunetransfer.storage.artifacts import read_metadata
from prunetransfer.storage.schemas.registry import TABLES
from prunetransfer.storage.tables import read_table


@pytest.fixture
def with_usps(new_study):
    """The tiny study with USPS, which lies where the download stage would put it, and a view of it."""
    folder = new_study.folder / "resources/datasets/torchvision/USPS"
    folder.mkdir(parents=True)
    train, test = ([(label, 20 * label + k) for label in range(10) for k in part] for part in (range(3), (10, 11)))
    WRITERS["USPS"](folder, {"train": train, "test": test})
    config = new_study.config
    config["datasets"] |= {
        "usps": {"kind": "torchvision", "name": "USPS"},
        "few": {"view_of": "usps", "classes": [7, 1], "per_class": {"train": 2}},
    }
    new_study.config = config | {"targets": ["red", "usps", "few"]}
    return new_study


def test_what_is_there_is_not_downloaded_and_a_view_prepares_its_own_images(with_usps):
    with_usps.run("datasets")
    folder = with_usps.folder / "resources/datasets/torchvision"
    assert sorted(path.name for path in folder.iterdir()) == ["USPS", "USPS.json"]
    assert json.loads((folder / "USPS.json").read_text())["settings"] == {"kind": "torchvision", "name": "USPS"}
    assert "Nothing to be done" in with_usps.run("datasets")
    (path,) = [job for job in with_usps.planned() if job.startswith("images/few-")]
    file = with_usps.folder / f"results/tiny/{path}/train.safetensors"
    with_usps.run(str(file.relative_to(with_usps.folder)))
    split = read_split(file)
    assert split.classes == ("7", "1") and split.labels.tolist() == [1, 1, 0, 0]
    assert set(split.images[split.labels == 0].flatten().tolist()) <= {140, 141, 142}
    assert read_metadata(file)["settings"]["selections"][0]["classes"] == [7, 1]


def test_images_are_prepared_anew_for_each_crop_mode(new_study):
    config = new_study.config
    net = config["backbones"]["net"]
    config["backbones"] |= {mode: net | {"crop_mode": mode} for mode in ("squash", "border")}
    new_study.config = config
    prepared = {job for job in new_study.planned() if job.startswith("images/red")}
    assert prepared == {f"images/red-8-bicubic-1.0{mode}" for mode in ("", "-squash", "-border-808080")}


def test_what_shows_the_images_of_the_source_has_its_role_under_every_name(new_study):
    datasets = new_study.config["datasets"] | {
        "half": {"view_of": "red", "per_class": {"train": 6}},
        "quarter": {"view_of": "half", "per_class": {"train": 3}, "seed": 1},
        "again": {"kind": "folder", "path": "./images/red/", "seed": 3},
    }
    new_study.config |= {
        **{"datasets": datasets, "sources": ["red"], "targets": ["quarter", "again", "blue"], "targets_per_job": 3},
        **{"scores": {"diagonal": {"samples": 8}}, "sparsities": [0.4], "recoveries": {"none": {}}},
        "landscape": {"samples": 8, "eigenvalues": 1, "steps": 1, "sparsities": [0.4]},
    }
    new_study.run(*(f"results/tiny/tables/{name}.parquet" for name in ("accuracy", "verdicts", "perturbations")))
    tables = {
        name: read_table(new_study.folder / f"results/tiny/tables/{name}.parquet", TABLES[name])
        for name in ("accuracy", "intervals", "predicted_loss", "perturbations", "paths")
    }
    expected = {"quarter": "source", "again": "source", "blue": "transfer"}
    for name in ("accuracy", "intervals", "predicted_loss"):
        assert dict(zip(tables[name]["target"], tables[name]["role"], strict=True)) == expected, name
    for name in ("perturbations", "paths"):
        assert dict(zip(tables[name]["task"], tables[name]["role"], strict=True)) == expected | {"red": "source"}, name
    accuracy = tables["accuracy"].set_index("target")
    assert accuracy["own_sources"].dropna().to_dict() == {"quarter": "red", "again": "red"}
    assert set(accuracy["mask"]) == {"global"} and set(accuracy["sparsity"]) == {0.4}
    # A dataset that nobody asks for leaves what was computed.
    datasets["more"] = {"view_of": "red", "classes": ["level60", "level180"]}
    new_study.config |= {"datasets": datasets}
    made = {"images", "heads", "scores", "masks", "evaluations", "perturbations"}
    assert not made & {job.split("/")[0] for job in new_study.planned()}


def test_a_changed_base_prepares_its_views_anew_and_no_other(with_usps):
    with_usps.run("--until", "prepare_images")
    config = with_usps.config
    config["datasets"]["usps"]["seed"] = 1
    with_usps.config = config
    prepared = {job.split("-")[0] for job in with_usps.planned() if job.startswith("images/")}
    assert prepared == {"images/usps", "images/few"}
    config["datasets"]["few"]["limit"] = 3
    config["datasets"]["usps"]["seed"] = 0
    with_usps.config = config
    assert {job.split("-")[0] for job in with_usps.planned() if job.startswith("images/")} == {"images/few"}


def test_a_view_of_the_test_split_alone_shares_train_images_and_head(new_study):
    """And its accuracy stands beside that of the clean images, in a role of its own."""
    resolution = {"train": None, "test": 2}
    new_study.config |= {
        "datasets": new_study.config["datasets"]
        | {
            "coarse-blue": {"view_of": "blue", "resolution": resolution},
            "coarse-red": {"view_of": "red", "resolution": resolution},
            "tail": {"view_of": "red", "imbalance": {"ratio": 4}},
        },
        **{"sources": ["red"], "targets": ["coarse-blue", "coarse-red", "red", "blue", "tail"]},
        **{"scores": {"magnitude": {}, "diagonal": {"samples": 8}}, "sparsities": [0.4], "recoveries": {"none": {}}},
    }
    assert {job for job in new_study.planned() if job.startswith("heads/")} == {
        f"heads/net/{name}" for name in ("red", "blue", "tail")
    }
    new_study.run(*(f"results/tiny/{name}" for name in ("tables/accuracy.parquet", "tables/shift.parquet")))
    images = new_study.folder / "results/tiny/images"
    assert {path.parent.name.split("-8-")[0] for path in images.glob("*/train.safetensors")} == {"red", "blue", "tail"}
    assert len(list(images.glob("*/test.safetensors"))) == 5
    tables = {
        name: read_table(new_study.folder / f"results/tiny/tables/{name}.parquet", TABLES[name])
        for name in ("accuracy", "shift", "dense")
    }
    diagonal = tables["accuracy"].query("score == 'diagonal'")
    assert dict(zip(diagonal["target"], diagonal["role"], strict=True)) == (
        dict.fromkeys(["red", "tail"], "source") | {"blue": "transfer"}
        | dict.fromkeys(["coarse-red", "coarse-blue"], "shifted")
    )  # fmt: skip
    above = tables["dense"].set_index("target")["above_chance"]
    pairs = {("blue", "coarse-blue"), ("red", "coarse-red")}
    expected = {pair for pair in pairs if above[list(pair)].all()}
    single = tables["shift"].dropna(subset="target")
    assert expected and set(zip(single["target"], single["shifted_target"], strict=True)) == expected
    assert set(single["condition"]) == {"resolution 2"} and single["severity"].isna().all()
