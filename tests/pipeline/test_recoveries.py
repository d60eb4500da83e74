"""Recoveries in the workflow: a chain is cached link by link, and no label reaches a recovery that reads none."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from prunetransfer.pruning.masks import read_mask
from prunetransfer.storage.artifacts import read_tensors
from prunetransfer.storage.schemas.accuracy import ACCURACY
from prunetransfer.storage.tables import read_table


def with_chain(study) -> None:
    links = {"moments": {"samples": 8, "sparsities": [0.4]}, "broad": {"recovery": "reconstruct", "samples": 12}}
    chain = {"broad+moments": {"sparsities": [0.4]}}
    links["broad"] |= {"sparsities": [0.4], "backbones": ["net"]}
    study.config |= {"scores": {"magnitude": {}}, "recoveries": {"none": {}, **links, **chain}}


def test_a_chain_is_cached_link_by_link(study):
    with_chain(study)
    study.run()
    folder = study.folder / "results/tiny"
    accuracy = read_table(folder / "tables/accuracy.parquet", ACCURACY)
    assert set(accuracy["recovery"]) == {"none", "moments", "broad", "broad+moments"}
    mask = read_mask(folder / "masks/net/magnitude/seed0/0.4.safetensors")
    states = {
        name: read_tensors(folder / f"recovered/{name}@red/net/magnitude/seed0/0.4.safetensors")
        for name in ("moments", "broad", "broad+moments")
    }
    for name, state in states.items():
        assert all((state[layer][~keep] == 0).all() for layer, keep in mask.items()), name
    # The first layer's moments go into the batchnorm: the chain keeps the weights that the first link solved.
    assert np.array_equal(states["broad"]["0.weight"], states["broad+moments"]["0.weight"])
    assert not np.array_equal(states["moments"]["0.weight"], states["broad"]["0.weight"])
    assert not np.array_equal(states["broad"]["1.running_var"], states["broad+moments"]["1.running_var"])

    study.edit("src/prunetransfer/recovery/moments.py", "DEAD = 1e-3", "DEAD = 1e-4")
    changed = {job for job in study.planned() if job.startswith("recovered/")}
    assert changed == {f"recovered/{name}@red/net/magnitude/seed0/0.4" for name in ("moments", "broad+moments")}


def test_only_links_that_a_chain_needs_run(study):
    with_chain(study)
    config = study.config
    config["recoveries"]["broad"]["sparsities"] = [0.0]
    study.config = config
    recovered = {job.partition("/net/")[0:3:2] for job in study.planned() if job.startswith("recovered/")}
    assert recovered == {
        ("recovered/moments@red", "magnitude/seed0/0.4"),
        ("recovered/broad@red", "magnitude/seed0/0.0"),
        ("recovered/broad@red", "magnitude/seed0/0.4"),
        ("recovered/broad+moments@red", "magnitude/seed0/0.4"),
    }


def test_a_recovery_is_tried_on_the_masks_of_its_scores(study):
    study.config |= {"recoveries": {"none": {}, "moments": {"sparsities": [0.4], "scores": ["diagonal"]}}}
    recovered = {job for job in study.planned() if job.startswith("recovered/")}
    assert recovered == {"recovered/moments@red/net/diagonal@red/seed0/0.4"}


def test_no_head_reaches_a_recovery_without_labels(study):
    with_chain(study)
    study.config |= {"targets": ["blue"]}
    assert "heads/net/red" not in study.planned()
    done = study.run("--dry-run", "results/tiny/recovered/moments@red/net/magnitude/seed0/0.4.safetensors")
    assert "heads/" not in done


def in_steps(study) -> Path:
    """A score in two steps beside the same one at once; green images are no task of the study."""
    study.config |= {
        "scores": {"magnitude": {}, "gradual": {"score": "magnitude", "steps": {"rounds": 2, "between": "broad"}}},
        "recoveries": {"none": {}, "broad": {"recovery": "reconstruct", "samples": 8, "beside": ["green"]}},
        "sparsities": [0.4],
    }
    return study.folder / "results/tiny"


def test_pruning_in_steps_leaves_a_mask_and_weights(study):
    results = in_steps(study)
    study.run()
    own = results / "masks/net/gradual@red/seed0"
    mask = read_mask(own / "0.4.safetensors")
    at_once = read_mask(results / "masks/net/magnitude/seed0/0.4.safetensors")
    assert sum(keep.sum() for keep in mask.values()) == sum(keep.sum() for keep in at_once.values())
    assert any(not np.array_equal(mask[layer], at_once[layer]) for layer in mask)
    stepped = read_tensors(own / "0.4.weights.safetensors")
    recovered = read_tensors(results / "recovered/broad@red/net/gradual@red/seed0/0.4.safetensors")
    dense = read_tensors(next((study.folder / "resources/weights").glob("net-*.safetensors")))
    for layer, keep in mask.items():
        assert (stepped[layer][~keep] == 0).all() and (recovered[layer][~keep] == 0).all()
        assert not np.array_equal(stepped[layer][keep], dense[layer][keep])
        assert not np.array_equal(stepped[layer][keep], recovered[layer][keep])

    accuracy = read_table(results / "tables/accuracy.parquet", ACCURACY)
    measured = accuracy[accuracy["score"] == "gradual"].set_index(["recovery", "target"])["loss"]
    assert measured.notna().all() and measured["steps", "red"] != measured["broad", "red"]
    at_once = accuracy[accuracy["score"] == "magnitude"].set_index(["recovery", "target"])["loss"]
    assert measured["steps", "red"] != at_once["none", "red"]


def test_the_card_of_a_mask_made_in_steps_has_its_rows(study):
    results = in_steps(study)
    study.run()
    card = (study.export("--criterion", "gradual@red", "--mask", "0.4") / "README.md").read_text()
    made = (
        "by the score `gradual` in 2 steps with `broad` between them, with no other recovery, on images of red, green"
    )
    assert made in card
    accuracy = read_table(results / "tables/accuracy.parquet", ACCURACY)
    stepped = accuracy[(accuracy["score"] == "gradual") & (accuracy["recovery"] == "steps")].set_index("target")["top1"]
    for task, unseen in {"red": "no", "blue": "yes"}.items():
        row = next(line for line in card.splitlines() if line.startswith(f"| {task} |"))
        assert row.split(" | ")[1] == unseen and f"| {stepped[task]:.4f} |" in row


def test_what_steps_and_images_beside_depend_on(study):
    in_steps(study)
    study.run()
    assert study.planned() == set()
    gradual = {"masks/net/gradual@red/seed0/0.4", "recovered/broad@red/net/gradual@red/seed0/0.4"}
    study.config |= {
        "scores": {"magnitude": {}, "gradual": {"score": "magnitude", "steps": {"rounds": 3, "between": "broad"}}}
    }
    planned = study.planned()
    assert gradual <= planned and not any(job.startswith("scores/") for job in planned)
    assert "recovered/broad@red/net/magnitude/seed0/0.4" not in planned

    config = study.config
    config["recoveries"]["broad"]["beside"] = []
    study.config = config
    assert gradual | {"recovered/broad@red/net/magnitude/seed0/0.4"} <= study.planned()
