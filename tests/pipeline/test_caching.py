"""What runs again after a change: exactly what the change touches."""

from __future__ import annotations

import os

import pytest
import torch

from prunetransfer.storage.provenance import REVISION
from prunetransfer.storage.schemas.accuracy import ACCURACY
from prunetransfer.storage.schemas.costs import COSTS
from prunetransfer.storage.tables import read_table

EVALUATIONS = {
    f"evaluations/net/{criterion}/{recovery}/{target}"
    for criterion in ("magnitude", "diagonal@red")
    for recovery in ("none", "finetune@red")
    for target in ("red", "blue")
}
FIGURES_OF_ACCURACY = {"figures/retention", "figures/heatmap", "figures/recoveries", "figures/safe", "figures/targets"}
# Every table is followed by the costs, which count the jobs that made it, and they by the front page.
FROM_TOLERANCE = {"tables/verdicts", "tables/predicted_loss", "verdicts.md", "tables/costs", "overview.html"}
FROM_ANSWERS = {"tables/dense", "tables/safe_sparsity"}
FROM_ACCURACY = {"tables/accuracy", "tables/pretrainings"} | FROM_ANSWERS | FROM_TOLERANCE | FIGURES_OF_ACCURACY
FROM_LAYERS = {"tables/layer_sparsity", "figures/layers"}


def after_masks(criterion: str) -> set[str]:
    return {
        *(f"masks/net/{criterion}/seed0/{sparsity}" for sparsity in ("0.0", "0.4")),
        f"recovered/finetune@red/net/{criterion}/seed0/0.4",
        "tables/training",
        *(job for job in EVALUATIONS if f"/{criterion}/" in job),
        *FROM_ACCURACY,
        *FROM_LAYERS,
        *(["tables/mask_overlap"] if "@" in criterion else []),
    }


def test_a_second_run_does_nothing(study):
    assert study.planned() == set()
    assert "Nothing to be done" in study.run()


def test_touching_every_source_file_reruns_nothing(study):
    for file in study.folder.rglob("*"):
        if file.is_file() and file.relative_to(study.folder).parts[0] not in ("results", "resources", ".snakemake"):
            os.utime(file)
    assert study.planned() == set()


def test_a_commit_and_the_machine_rerun_nothing(study, monkeypatch):
    monkeypatch.setenv(REVISION, "another")
    study.config |= {"jobs_per_gpu": 3, "gpu": False}
    assert study.planned() == set()


def test_a_new_target_runs_its_own_jobs(study):
    study.config |= {"targets": ["red", "blue", "green"]}
    expected = {"images/green-8-bicubic-1.0", "heads/net/green", *FROM_ACCURACY}
    expected |= {job.removesuffix("red") + "green" for job in EVALUATIONS if job.endswith("/red")}
    assert len(expected) == 2 + 4 + 14
    assert study.planned() == expected
    study.run()
    assert study.planned() == set()
    costs = read_table(study.folder / "results/tiny/tables/costs.parquet", COSTS)
    assert set(costs["targets"].dropna()) == {"red", "blue", "green"} and len(costs) == 32 + 1 + 1 + 4


def test_a_new_sparsity_leaves_scores_and_other_masks(study):
    study.config |= {"sparsities": [0.0, 0.4, 0.6]}
    masks = {f"masks/net/{criterion}/seed0/0.6" for criterion in ("magnitude", "diagonal@red")}
    untuned = {job for job in EVALUATIONS if "/none/" in job}
    assert study.planned() == masks | untuned | FROM_ACCURACY | FROM_LAYERS | {
        "tables/convergence",
        "tables/mask_overlap",
    }


def test_a_new_seed_shares_what_no_seed_changes(study):
    study.config |= {"seeds": [0, 1]}
    drawn = {f"{job}/seed1.parquet" for job in EVALUATIONS if "/magnitude/none/" not in job}
    assert len(drawn) == 8 - 2
    assert study.planned() == {
        "scores/net/diagonal@red/seed1",
        *(f"masks/net/diagonal@red/seed1/{sparsity}" for sparsity in ("0.0", "0.4")),
        *(f"recovered/finetune@red/net/{criterion}/seed1/0.4" for criterion in ("magnitude", "diagonal@red")),
        *(job.removesuffix(".parquet") for job in drawn),
        *(FROM_ACCURACY - {"tables/dense"}),
        *FROM_LAYERS,
        "tables/training",
        "tables/mask_overlap",
    }
    study.run()
    assert study.planned() == set()
    accuracy = read_table(study.folder / "results/tiny/tables/accuracy.parquet", ACCURACY)
    of_seeds = [rows.drop(columns="seed").reset_index(drop=True) for _, rows in accuracy.groupby("seed")]
    shared = [rows[rows["prune_source"].isna() & (rows["recovery"] == "none")] for rows in of_seeds]
    assert len(of_seeds[0]) == len(of_seeds[1]) == 2 * (2 + 2 + 1 + 1)
    assert len(shared[0]) == 2 * 2 and shared[0].equals(shared[1])


def test_a_new_score_leaves_the_others(study):
    study.config |= {"scores": study.config["scores"] | {"block": {"samples": 8, "block_size": 4}}}
    new = {job.replace("diagonal@red", "block@red") for job in after_masks("diagonal@red")}
    assert study.planned() == new | {"scores/net/block@red/seed0"}


def test_an_edited_score_reruns_that_score_and_what_follows(study):
    study.edit(
        "src/prunetransfer/criteria/diagonal.py", "0.5 * w.square() * curvature[name]", "w.square() * curvature[name]"
    )
    assert study.planned() == {"scores/net/diagonal@red/seed0"} | after_masks("diagonal@red")


def test_an_edited_curvature_reruns_the_scores_that_read_it(study):
    study.edit("src/prunetransfer/curvature/diagonal.py", "total / images", "total * (1 / images)")
    assert study.planned() == {"scores/net/diagonal@red/seed0"} | after_masks("diagonal@red")


def test_an_edited_figure_redraws_that_figure(study):
    path = study.folder / "src/prunetransfer/figures/layers.py"
    path.write_text(path.read_text() + "\nNEW = 1\n")
    assert study.planned() == {"figures/layers"}


@pytest.mark.parametrize(
    "file", ["criteria/diagonal.py", "models/backbones.py", "pruning/masks.py", "storage/artifacts.py"]
)
def test_comments_and_blank_lines_rerun_nothing(study, file):
    path = study.folder / "src/prunetransfer" / file
    path.write_text(f"# a comment\n\n{path.read_text()}\n# another\n")
    assert study.planned() == set()


def other_weights(study) -> None:
    state = torch.load(study.folder / "net.pt")
    torch.save({name: tensor + 1 for name, tensor in state.items()}, study.folder / "net.pt")


def other_factory(study) -> None:
    study.edit("net.py", "nn.AvgPool2d(4)", "nn.MaxPool2d(4)")


@pytest.mark.parametrize("change", [other_weights, other_factory])
def test_another_network_at_the_same_path_reruns_all_that_is_made_with_it(study, change):
    change(study)
    planned = study.planned()
    scores = {f"scores/net/{criterion}/seed0" for criterion in ("magnitude", "diagonal@red")}
    made_with_it = scores | {"heads/net/red", "heads/net/blue"} | after_masks("magnitude") | after_masks("diagonal@red")
    assert planned >= made_with_it
    assert not any(job.startswith("images/") for job in planned)
    assert sum(job.startswith("resources/weights/net-") for job in planned) == 1


def test_a_comment_in_a_factory_reruns_nothing(study):
    study.edit("net.py", '"""A convolution, batch normalisation, a linear layer."""', "# a comment")
    assert study.planned() == set()


def test_labels_and_tolerance_rerun_no_computation(study):
    config = study.config
    config["tolerance"] = 0.1
    config["backbones"]["net"]["pretraining"] = "another label"
    study.config = config
    assert study.planned() == FROM_ACCURACY - FROM_ANSWERS


def test_the_dry_run_says_why(study):
    study.edit(
        "src/prunetransfer/criteria/diagonal.py", "0.5 * w.square() * curvature[name]", "w.square() * curvature[name]"
    )
    assert "Params have changed since last execution" in study.run("--dry-run")
