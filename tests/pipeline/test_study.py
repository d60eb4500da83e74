"""The tiny study's results: complete, finite, and the same each time."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import torch

from prunetransfer.pruning.masks import read_mask
from prunetransfer.storage.artifacts import read_metadata, read_tensors
from prunetransfer.storage.provenance import REVISION
from prunetransfer.storage.schemas.accuracy import ACCURACY
from prunetransfer.storage.schemas.costs import COSTS
from prunetransfer.storage.schemas.masks import CONVERGENCE, LAYER_SPARSITY
from prunetransfer.storage.schemas.training import TRAINING
from prunetransfer.storage.schemas.verdicts import VERDICTS
from prunetransfer.storage.tables import read_table, table_metadata

RESULTS = "results/tiny"
SEEDED = {"fit_head", "compute_score", "recover", "evaluate"}


def read_mask_of(study, criterion: str, sparsity: str) -> dict[str, np.ndarray]:
    mask = f"{RESULTS}/masks/net/{criterion}/seed0/{sparsity}.safetensors"
    study.run(mask)
    return read_mask(study.folder / mask)


def test_accuracy_has_one_finite_row_a_measurement(finished_study):
    accuracy = read_table(finished_study.folder / RESULTS / "tables/accuracy.parquet", ACCURACY)
    # magnitude and diagonal@red; untuned at two sparsities, fine-tuned on red at one; two targets
    assert len(accuracy) == 2 * (2 + 1) * 2
    numbers = accuracy.select_dtypes("number")
    assert np.isfinite(numbers).all(axis=None)
    assert (accuracy["n"] == 20).all()
    assert np.allclose(accuracy["retention"], accuracy["correct"] / accuracy["n"] / accuracy["dense_top1"])
    assert (accuracy["dense_top1"] > 0.7).all()


def test_roles_follow_what_the_mask_and_the_recovery_saw(finished_study):
    accuracy = read_table(finished_study.folder / RESULTS / "tables/accuracy.parquet", ACCURACY)
    roles = {
        (row.score, row.recovery, row.target): row.role for row in accuracy[accuracy["sparsity"] == 0.4].itertuples()
    }
    assert roles == {
        ("magnitude", "none", "red"): "transfer",
        ("magnitude", "none", "blue"): "transfer",
        ("magnitude", "finetune", "red"): "source",
        ("magnitude", "finetune", "blue"): "transfer",
        ("diagonal", "none", "red"): "source",
        ("diagonal", "none", "blue"): "transfer",
        ("diagonal", "finetune", "red"): "source",
        ("diagonal", "finetune", "blue"): "transfer",
    }


def test_sparsity_zero_is_the_dense_backbone(finished_study):
    accuracy = read_table(finished_study.folder / RESULTS / "tables/accuracy.parquet", ACCURACY)
    dense = accuracy[accuracy["sparsity"] == 0]
    assert len(dense) == 4
    assert (dense["retention"] == 1).all()
    assert (dense["achieved_sparsity"] == 0).all()


def test_tables_figures_and_layers_agree_with_the_masks(finished_study):
    folder = finished_study.folder / RESULTS
    layers = read_table(folder / "tables/layer_sparsity.parquet", LAYER_SPARSITY)
    mask = read_mask(folder / "masks/net/diagonal@red/seed0/0.4.safetensors")
    rows = layers[(layers["score"] == "diagonal") & (layers["sparsity"] == 0.4)].set_index("layer")
    assert {name: int((~keep).sum()) for name, keep in mask.items()} == rows["pruned"].to_dict()
    assert rows["pruned"].sum() == round(0.4 * (3 * 6 * 9 + 24 * 12))
    assert len(read_table(folder / "tables/verdicts.parquet", VERDICTS))
    for figure in ("retention", "heatmap", "recoveries", "layers"):
        assert (folder / f"figures/{figure}.png").read_bytes().startswith(b"\x89PNG")
        assert b"</svg>" in (folder / f"figures/{figure}.svg").read_bytes()


def test_scores_record_what_they_were_computed_on(finished_study):
    folder = finished_study.folder / RESULTS / "scores/net"
    record = read_metadata(folder / "diagonal@red/seed0.safetensors")
    assert record["settings"]["matrix"] == "empirical"
    images = record["images"]
    assert (images["sampling"], images["seed"]) == ("balanced", 0)
    assert sum(images["per_class"].values()) == record["settings"]["samples"]
    assert max(images["per_class"].values()) - min(images["per_class"].values()) <= 1
    assert "images" not in read_metadata(folder / "magnitude/seed0.safetensors")


def test_recovered_weights_keep_the_mask(finished_study):
    folder = finished_study.folder / RESULTS
    for criterion in ("magnitude", "diagonal@red"):
        path = folder / f"recovered/finetune@red/net/{criterion}/seed0/0.4.safetensors"
        (dense_weights,) = (finished_study.folder / "resources/weights").iterdir()
        weights, dense = read_tensors(path), read_tensors(dense_weights)
        mask = read_mask(folder / f"masks/net/{criterion}/seed0/0.4.safetensors")
        for name, keep in mask.items():
            assert (weights[name][~keep] == 0).all()
            assert (weights[name][keep] != dense[name][keep]).any()
        assert read_metadata(path)["sparsity"] == 0.4


def test_training_curves_are_in_a_table(finished_study):
    curves = read_table(finished_study.folder / RESULTS / "tables/training.parquet", TRAINING)
    assert curves["score"].tolist() == ["diagonal", "magnitude"]
    assert set(curves["recovery"]) == {"finetune"} and set(curves["tuned_on"]) == {"red"}
    assert curves["learning_rate"].tolist() == [0.001, 0.001]
    assert curves["train_top1"].between(0.5, 1).all()


def test_the_damping_that_a_multiple_came_to_is_recorded(new_study):
    settings = {"score": "block", "samples": 8, "block_size": 4}
    new_study.config |= {"scores": {"block": {**settings, "relative": 0.5}, "block-1": {**settings, "damping": 1}}}
    scores = [f"{RESULTS}/scores/net/{name}@red/seed0.safetensors" for name in ("block", "block-1")]
    new_study.run(*scores)
    multiple, given = (read_metadata(new_study.folder / file)["damping"] for file in scores)
    assert multiple > 0 and given == 1.0
    new_study.config |= {"scores": {"block-1": {**settings, "damping": multiple}}}
    new_study.run(scores[1])
    of_multiple, of_number = (read_tensors(new_study.folder / file) for file in scores)
    assert all(np.array_equal(of_number[name], values) for name, values in of_multiple.items())


def test_a_score_that_sees_no_labels_needs_no_head(new_study):
    new_study.config |= {"scores": {"features": {"samples": 8}}}
    file = f"{RESULTS}/scores/net/features@red/seed0.safetensors"
    new_study.run(file)
    assert not (new_study.folder / RESULTS / "heads").exists()
    record = read_metadata(new_study.folder / file)
    assert record["images"]["sampling"] == "uniform" and sum(record["images"]["per_class"].values()) == 8


def test_scores_on_fewer_images_are_compared_with_that_on_most(study):
    sweep = {f"diagonal-{n}": {"score": "diagonal", "samples": n} for n in (2, 6)}
    study.config |= {"scores": study.config["scores"] | sweep}
    study.run("results/tiny/tables/convergence.parquet")
    found = read_table(study.folder / RESULTS / "tables/convergence.parquet", CONVERGENCE).set_index("samples")
    assert sorted(found.index) == [2, 2, 6, 6] and (found["reference_samples"] == 8).all()
    assert found.loc[6, "rank_correlation"].min() > found.loc[2, "rank_correlation"].max()
    few, most = (read_mask_of(study, criterion, "0.4") for criterion in ("diagonal-2@red", "diagonal@red"))
    shared = sum((few[name] & keep).sum() for name, keep in most.items()) / sum(keep.sum() for keep in most.values())
    assert found.loc[2].set_index("sparsity")["overlap"].to_dict() == {0.0: 1.0, 0.4: shared}


def test_a_second_study_from_scratch_gives_the_same_tables(new_study, finished_study, monkeypatch):
    monkeypatch.setenv(REVISION, "1b0ba5f")
    new_study.run("tables")
    names = [table.name for table in (finished_study.folder / RESULTS / "tables").iterdir() if table.stem != "costs"]
    for name in names:
        path = f"{RESULTS}/tables/{name}"
        first, second = (pd.read_parquet(study.folder / path) for study in (finished_study, new_study))
        unlike = first.columns.intersection(["images_per_second", "seconds"])
        pd.testing.assert_frame_equal(first.drop(columns=unlike), second.drop(columns=unlike))
    costs = read_table(new_study.folder / RESULTS / "tables/costs.parquet", COSTS)
    assert (costs["revision"] == "1b0ba5f").all()


def test_every_job_is_in_the_costs_with_what_its_file_says(finished_study):
    folder = finished_study.folder
    costs = read_table(folder / RESULTS / "tables/costs.parquet", COSTS)
    rules = costs["stage"].value_counts()
    assert (rules["evaluate"], rules["build_mask"], rules["prepare_images"], rules["download_weights"]) == (8, 4, 2, 1)
    figures = {f"figures/{path.stem}" for path in (folder / RESULTS).glob("figures/*")}
    uncounted = {"costs", "overview", "verdicts_page"} | figures
    benchmarks = folder / RESULTS / "costs"
    measured = {str(path.relative_to(benchmarks).with_suffix("")) for path in benchmarks.rglob("*.tsv")}
    assert set(costs["job"]) == measured - uncounted
    assert all((folder / RESULTS / f"logs/{job}.log").exists() for job in costs["job"])
    tuned = costs[costs["stage"] == "recover"].set_index("score")
    path = f"{RESULTS}/recovered/finetune@red/net/diagonal@red/seed0/0.4.safetensors"
    record, row = read_metadata(folder / path), tuned.loc["diagonal"]
    assert (row["tuned_on"], row["prune_source"], row["sparsity"], row["seed"]) == ("red", "red", 0.4, 0)
    assert (row["device"], row["torch"], row["code"]) == ("cpu", torch.__version__, record["code"])
    assert row["seconds"] > record["seconds"] > 0
    assert row["peak_mb"] >= record["peak_mb"] > 100


def test_every_file_says_which_job_made_it(finished_study):
    made = set()
    for path in (finished_study.folder / RESULTS).rglob("*"):
        if path.suffix in (".safetensors", ".parquet"):
            record = (read_metadata if path.suffix == ".safetensors" else table_metadata)(path)
            made.add(record["stage"])
            assert {"settings", "wildcards", "revision", "seconds"} <= record.keys()
            assert len(record["code"]) == 16 and record["device"] == "cpu" and record["peak_mb"] > 10
            assert ("torch" in record["versions"]) == (record["stage"] in SEEDED)
            assert record["seed"] == (0 if record["stage"] in SEEDED | {"build_mask"} else None)
    assert SEEDED | {"prepare_images", "build_mask", "aggregate_accuracy", "costs"} < made


def test_report_holds_its_figures(study):
    study.run("--report", "report.html")
    page = (study.folder / "report.html").read_text()
    assert "retention.png" in page
    assert "How far" in page


def test_test_images_reach_evaluation_alone(new_study):
    jobs = re.findall(r"^rule (\w+):\n((?: +\S.*\n)+)", new_study.run("--dry-run"), flags=re.MULTILINE)
    assert {"fit_head", "compute_score", "recover"} < {rule for rule, _ in jobs}
    assert {rule for rule, job in jobs if re.search(r"^ +input:.*/test\.", job, re.MULTILINE)} == {"evaluate"}
