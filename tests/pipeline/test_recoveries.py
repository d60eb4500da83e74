"""Recoveries in the workflow: a chain is cached link by link, and no label reaches a recovery that reads none."""

from __future__ import annotations

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
