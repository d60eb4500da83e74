"""A source without labels in the workflow: it is combined with what reads none, and with nothing else."""

from __future__ import annotations


def test_only_what_reads_no_labels_is_computed_on_a_source_without(new_study):
    config = new_study.config
    config["datasets"] |= {"made": {"kind": "procedural"}}
    config["recoveries"] |= {"moments": {"sparsities": [0.4]}, "moments+finetune": {"sparsities": [0.4]}}
    new_study.config = config | {
        "sources": ["red", "made"],
        "scores": config["scores"] | {"features": {"samples": 8}},
        "landscape": {"samples": 8, "eigenvalues": 1, "steps": 1, "sparsities": [0.4]},
    }
    planned = [job.split("/") for job in new_study.planned()]
    assert {job[2] for job in planned if job[0] == "scores"} == {
        *("magnitude", "diagonal@red", "features@red", "features@made"),
    }
    of_red = {
        (name, score) for name in ("finetune", "moments", "moments+finetune") for score in ("diagonal", "features")
    }
    assert {(job[1], job[3]) for job in planned if job[0] == "recovered"} == {
        *((f"{name}@red", f"{score}@red") for name, score in of_red),
        *((f"{name}@red", "magnitude") for name, _ in of_red),
        *(("moments@made", criterion) for criterion in ("magnitude", "features@made")),
    }
    tasks = {job[2].removesuffix(".safetensors") for job in planned if job[0] in ("heads", "spectra", "perturbations")}
    assert tasks == {"red", "blue"}
