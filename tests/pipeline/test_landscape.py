"""The landscape's stages on the tiny study: off unless asked for, consistent with each other, cached task by task."""

from __future__ import annotations

import numpy as np

from prunetransfer.storage.schemas.registry import TABLES
from prunetransfer.storage.tables import read_table

TABLES_OF_SPECTRA = {"tables/landscape", "tables/costs", "figures/task_alignment", "overview.html"}
TABLES_OF_MASKS = {"tables/perturbations", "figures/predictions", "figures/loss_paths"}


def test_the_landscape_is_a_few_jobs_more(study):
    study.config |= {"landscape": {"samples": 8, "eigenvalues": 2, "sparsities": [0.4], "steps": 2}}
    jobs = {f"{stage}/net/{task}" for stage in ("spectra", "perturbations") for task in ("red", "blue")}
    planned = {job.removesuffix("/seed0") for job in study.planned()}
    assert planned == jobs | TABLES_OF_SPECTRA | TABLES_OF_MASKS
    study.run()
    folder = study.folder / "results/tiny"
    tables = {
        name: read_table(folder / f"tables/{name}.parquet", TABLES[name])
        for name in ("landscape", "spectrum", "alignment", "perturbations", "paths", "predicted_loss")
    }
    assert set(tables["landscape"]["task"]) == {"red", "blue"}
    assert len(tables["spectrum"]) == 2 * 2
    assert tables["spectrum"].groupby("task")["trace_share"].sum().between(0, 1.0001).all()
    assert len(tables["alignment"]) == 1
    found = tables["perturbations"].set_index(["score", "task"])
    assert len(found) == 2 * 2 and found["predicted"].notna().all()
    assert found["role"].to_dict()["diagonal", "red"] == "source"
    tested = tables["predicted_loss"].query("sparsity == 0.4").set_index(["score", "target"])["measured"]
    assert all(np.isclose(found.loc[key, "measured_test"], value) for key, value in tested.items())
    paths = tables["paths"].pivot_table("loss", ["score", "task"], "t")
    assert list(paths.columns) == [0, 0.5, 1]
    np.testing.assert_allclose(paths[1] - paths[0], found["measured"].sort_index(), atol=1e-12)

    study.config |= {"targets": ["red", "blue", "green"]}
    planned = {job.removesuffix("/seed0") for job in study.planned()}
    landscape = {job for job in planned if job.startswith(("spectra", "perturbations"))}
    assert landscape == {"spectra/net/green", "perturbations/net/green"}
    assert planned >= TABLES_OF_SPECTRA | TABLES_OF_MASKS


def test_a_new_score_leaves_the_spectra(study):
    study.config |= {"landscape": {"samples": 8, "eigenvalues": 2, "scores": ["magnitude"], "sparsities": [0.4]}}
    study.run("results/tiny/tables/landscape.parquet")
    landscape = study.config["landscape"] | {"scores": ["magnitude", "block"]}
    scores = study.config["scores"] | {"block": {"samples": 8, "block_size": 4}}
    study.config |= {"scores": scores, "landscape": landscape}
    assert not [job for job in study.planned() if job.startswith("spectra")]
