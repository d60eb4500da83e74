"""Sources that are several datasets in the workflow: mixtures, which are datasets, and sequences, which are not."""

from __future__ import annotations

import numpy as np
import pytest

from prunetransfer.datasets.splits import read_split
from prunetransfer.pruning.making import make_in_turn
from prunetransfer.pruning.masks import achieved_sparsity, read_mask
from prunetransfer.pruning.ranking import Ranking
from prunetransfer.storage.artifacts import read_tensors
from prunetransfer.storage.schemas.registry import TABLES
from prunetransfer.storage.tables import read_table
from prunetransfer.structure.units import read_units, removed

STEPPED = {"score": "features", "samples": 8, "steps": {"rounds": 2, "between": "reconstruct"}}
IN_TURN = "red-then-green"


@pytest.fixture(scope="module")
def several(finished_study, tmp_path_factory):
    """The tiny study with a mixture and a sequence among its sources, and a recovery on all of them."""
    study = finished_study.copied_to(tmp_path_factory.mktemp("several") / "tiny")
    study.config |= {
        "datasets": study.config["datasets"] | {"both": {"mixture_of": ["red", "blue"]}},
        "sources": ["red", "both", "red then green"],
        "targets": ["red", "blue", "green"],
        "scores": study.config["scores"] | {"features": {"samples": 8}, "stepped": STEPPED},
        "masks": {"global": {}, "nm": {"pattern": "2:3"}, "units": {"pattern": "channels", "sparsities": [0.3]}},
        "recoveries": {"none": {}, "reconstruct": {"samples": 8, "sparsities": [0.4]}},
        "targets_per_job": 3,
        "landscape": {"samples": 8, "eigenvalues": 1, "steps": 1, "scores": ["features"], "sparsities": [0.4]},
    }
    study.run()
    return study


def test_a_mixture_is_a_dataset_like_any_other(several):
    results = several.folder / "results/tiny"
    both, red, blue = (
        read_split(results / f"images/{name}-8-bicubic-1.0/train.safetensors") for name in ("both", "red", "blue")
    )
    assert both.classes == tuple(f"{name}: {level}" for name in ("red", "blue") for level in ("level180", "level60"))
    assert np.array_equal(both.images, np.concatenate([red.images, blue.images]))
    assert both.labels.tolist() == [*red.labels.tolist(), *(blue.labels + 2).tolist()]
    assert (results / "heads/net/both.safetensors").exists()
    assert {path.name for path in (results / "scores/net").iterdir()} >= {"diagonal@both", "features@both"}


def test_a_sequence_is_made_of_the_scores_of_its_datasets(several):
    results = several.folder / "results/tiny"
    # No score of the sequence; that of green, which is no source alone, is computed for it.
    assert not [path for path in (results / "scores/net").iterdir() if IN_TURN in path.name]
    scores = [read_tensors(results / f"scores/net/features@{name}/seed0.safetensors") for name in ("red", "green")]
    mask = read_mask(results / f"masks/net/features@{IN_TURN}/seed0/0.4.safetensors")
    expected = make_in_turn(list(map(Ranking, scores)), 0.4)
    assert all(np.array_equal(mask[name], expected[name]) for name in expected)
    total = sum(keep.size for keep in mask.values())
    assert round(achieved_sparsity(mask) * total) == round(0.4 * total)
    units = read_units(results / "units/net.safetensors")
    whole = read_mask(results / f"masks/net/diagonal@{IN_TURN}/seed0/units-0.3.safetensors")
    assert sum(map(np.sum, removed(units, whole))) > 0


def test_what_a_sequence_is_not_combined_with_is_left_out(several):
    masks = several.folder / "results/tiny/masks/net"
    assert {path.name for path in masks.iterdir() if IN_TURN in path.name} == {
        f"{score}@{IN_TURN}" for score in ("diagonal", "features")
    }
    named = {path.stem for path in (masks / f"features@{IN_TURN}/seed0").iterdir()}
    assert named == {"0.0", "0.4", "units-0.3"}
    assert (masks / "features@red/seed0/nm-0.333333.safetensors").exists()


def test_roles_and_recoveries_go_by_each_dataset(several):
    accuracy = read_table(several.folder / "results/tiny/tables/accuracy.parquet", TABLES["accuracy"])
    own = accuracy.groupby("target")["own_sources"].first().to_dict()
    assert own == {"red": "red+both", "blue": "both", "green": "green"}
    features = accuracy[accuracy["score"] == "features"]
    pruned = features[features["recovery"] == "none"].drop_duplicates(["prune_source", "target"])
    roles = pruned.set_index(["prune_source", "target"])["role"]
    assert roles.unstack().loc[["both", "red", IN_TURN], ["red", "blue", "green"]].to_numpy().tolist() == [
        ["source", "source", "transfer"],
        ["source", "transfer", "transfer"],
        ["source", "transfer", "source"],
    ]
    recovered = features[features["recovery"] != "none"]
    assert set(zip(recovered["prune_source"], recovered["tuned_on"], strict=True)) == {
        *(("red", "red"), ("both", "both"), (IN_TURN, "green")),
    }
    free = accuracy[(accuracy["score"] == "magnitude") & (accuracy["recovery"] != "none")]
    assert set(free["tuned_on"]) == {"red", "both", "green"}
    costs = read_table(several.folder / "results/tiny/tables/costs.parquet", TABLES["costs"])
    assert "green" in set(costs[costs["stage"] == "compute_score"]["prune_source"])


def test_a_further_sequence_computes_no_score_and_recovers_after_its_last(several):
    config = several.config
    several.config |= {"sources": [*config["sources"], "green then both then red"]}
    planned = several.planned()
    new = "green-then-both-then-red"
    assert not [job for job in planned if job.startswith(("scores", "images", "heads", "units"))]
    assert {job for job in planned if job.startswith("masks/net/features@")} == {
        f"masks/net/features@{new}/seed0/{mask}" for mask in ("0.0", "0.4", "units-0.3")
    }
    recovered = {tuple(job.split("/")[1:4]) for job in planned if job.startswith("recovered")}
    assert ("reconstruct@red", "net", f"features@{new}") in recovered
    assert {criterion for _, _, criterion in recovered} == {f"{score}@{new}" for score in ("features", "diagonal")}
    several.config = config
    assert not several.planned()


def test_a_study_of_a_sequence_alone(new_study):
    new_study.config |= {
        "sources": ["red then green"],
        "targets": ["red", "blue"],
        "scores": {"features": {"samples": 8}},
        "sparsities": [0.4],
        "recoveries": {"none": {}},
        "landscape": {"samples": 8, "eigenvalues": 1, "steps": 1},
    }
    new_study.run()
    accuracy = read_table(new_study.folder / "results/tiny/tables/accuracy.parquet", TABLES["accuracy"])
    assert accuracy.set_index("target")["role"].to_dict() == {"red": "source", "blue": "transfer"}
    losses = read_table(new_study.folder / "results/tiny/tables/predicted_loss.parquet", TABLES["predicted_loss"])
    assert losses.empty
