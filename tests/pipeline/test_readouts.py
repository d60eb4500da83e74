"""A study with logistic heads and every readout."""

from __future__ import annotations

from prunetransfer.storage.artifacts import read_metadata
from prunetransfer.storage.schemas.accuracy import ACCURACY
from prunetransfer.storage.tables import read_table

READOUTS = ["zero_shot", "linear_probe", "knn"]


def test_every_readout_of_logistic_heads(new_study):
    few = {"targets": ["blue"], "scores": {"magnitude": {}}, "sparsities": [0.4], "recoveries": {"none": {}}}
    new_study.config |= few | {"head": {"kind": "logistic"}, "readouts": READOUTS, "neighbours": 5}
    new_study.run()
    folder = new_study.folder / "results/tiny"
    accuracy = read_table(folder / "tables/accuracy.parquet", ACCURACY).set_index("readout")
    assert sorted(accuracy.index) == sorted(READOUTS)
    assert (accuracy["dense_top1"] > 0.7).all()
    assert accuracy["loss"].isna().to_dict() == {"zero_shot": False, "linear_probe": False, "knn": True}
    # A probe fitted on the pruned features of two classes apart reads them; a frozen head may not.
    assert accuracy.loc["linear_probe", "top1"] > 0.9
    assert read_metadata(folder / "heads/net/blue.safetensors")["kind"] == "logistic"

    new_study.config |= {"neighbours": 7}
    planned = {job.partition("/")[0] for job in new_study.planned()}
    assert "evaluations" in planned and not planned & {"heads", "scores", "masks", "images"}
