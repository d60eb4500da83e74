"""The tiny study of tests/pipeline, end to end on the GPU."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("snakemake")

import pandas as pd
from pipeline.conftest import fresh_study  # noqa: F401 (a fixture)

from prunetransfer.storage.artifacts import read_metadata

pytestmark = pytest.mark.gpu


def test_the_tiny_study_runs_on_the_gpu(gpu, fresh_study, tmp_path, monkeypatch):  # noqa: F811
    study = fresh_study.copied_to(tmp_path / "study")
    for name in ("CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    study.run()
    named = torch.cuda.get_device_name()
    accuracy = pd.read_parquet(study.folder / "results/tiny/tables/accuracy.parquet")
    assert set(accuracy["device"]) == {named}
    assert set(accuracy["recovery"]) == {"none", "finetune"}
    scores = list(study.folder.glob("results/tiny/scores/**/*.safetensors"))
    assert {read_metadata(path)["device"] for path in scores} == {named}
    assert study.planned() == set()
