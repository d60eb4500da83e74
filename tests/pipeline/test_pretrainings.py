"""A study of one architecture with two pre-trainings, one of which is blind on a target."""

from __future__ import annotations

import re

import pandas as pd

from prunetransfer.storage.schemas.dense import DENSE
from prunetransfer.storage.schemas.pretrainings import PRETRAINING_COMPARISONS
from prunetransfer.storage.tables import read_table


def test_pretrainings_are_compared_and_what_is_at_chance_is_left_out(new_study):
    config = new_study.config
    net = config["backbones"]["net"]
    other = net | {"pretraining": "random", "weights": {"source": "random"}}
    few = {"scores": {"magnitude": {}}, "sparsities": [0.4], "recoveries": {"none": {}}}
    few |= {"backbones": {"net": net, "other": other}, "targets": ["red", "blue", "noise"], "targets_per_job": 3}
    new_study.config = config | few
    noise = new_study.folder / "images/noise"
    red = new_study.folder / "images/red"
    for split in ("train", "test"):  # both classes hold the same kind of image: nothing tells them apart
        for place, name in enumerate(("level60", "level180")):
            (noise / split / name).mkdir(parents=True)
            for k, path in enumerate(sorted((red / split / "level60").iterdir())[place::2]):
                (noise / split / name / f"{k}.png").write_bytes(path.read_bytes())
    new_study.config |= {"datasets": config["datasets"] | {"noise": {"kind": "folder", "path": "images/noise"}}}
    new_study.run("results/tiny/overview.html")
    results = new_study.folder / "results/tiny"

    dense = read_table(results / "tables/dense.parquet", DENSE).set_index(["backbone", "target"])
    assert not dense.loc[[("net", "noise"), ("other", "noise")], "above_chance"].any()
    assert dense.loc[[("net", "red"), ("other", "red")], "above_chance"].all()
    accuracy = pd.read_parquet(results / "tables/accuracy.parquet")
    assert set(accuracy.loc[accuracy["retention"].isna(), "target"]) >= {"noise"}
    for table in ("intervals", "safe_sparsity", "predicted_loss"):
        assert "noise" not in set(pd.read_parquet(results / f"tables/{table}.parquet")["target"])

    found = read_table(results / "tables/pretraining_comparisons.parquet", PRETRAINING_COMPARISONS)
    assert set(zip(found["pretraining"], found["other_pretraining"], strict=True)) == {("none", "random")}
    assert (results / "figures/pretrainings.png").read_bytes().startswith(b"\x89PNG")
    page = (results / "overview.html").read_text()
    said = " ".join(re.sub("<[^>]+>", " ", page.split("</h1>")[1]).split())
    assert said.startswith("Which pre-training prunes best? net.py:net, mean retention on ")
    assert re.search(r"nothing to retain: [^.]*net on noise \(zero_shot: 0\.\d+", said)
