"""A study's pruned backbone, exported: its card's rows are what a program without this project measures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from prunetransfer.deploy.commands_export import export_of_study, study_file
from prunetransfer.report.answer import least_safe
from prunetransfer.storage.schemas.accuracy import ACCURACY
from prunetransfer.storage.schemas.safe import SAFE_SPARSITY
from prunetransfer.storage.tables import read_table

# Accuracy on prepared test images, by timm, as on a machine that this project was never on.
MEASURE = """
import json, sys
sys.modules["prunetransfer"] = None
import timm, torch
from safetensors.torch import load_file

folder, *tasks = sys.argv[1:]
model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval().to(memory_format=torch.channels_last)
config = timm.data.resolve_model_data_config(model)
mean, std = (torch.tensor(config[key]).view(1, -1, 1, 1) for key in ("mean", "std"))
heads, found = load_file(f"{folder}/heads.safetensors"), {}
for task in tasks:
    name, _, path = task.partition("=")
    test = load_file(path)
    with torch.no_grad():
        features = model((test["images"].permute(0, 3, 1, 2) / 255 - mean) / std)
    answers = (features @ heads[f"{name}.weight"] + heads[f"{name}.bias"]).argmax(1)
    found[name] = int((answers == test["labels"]).sum())
print(json.dumps(found))
"""


def measured(study, folder: Path) -> dict[str, int]:
    """Task → test images that the exported model and its head get right, in a process of its own."""
    images = {
        task: next(study.folder.glob(f"results/tiny/images/{task}-*/test.safetensors")) for task in ("red", "blue")
    }
    tasks = [f"{task}={path}" for task, path in images.items()]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder), *tasks], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_timm_measures_what_the_study_did(new_study):
    config = new_study.config
    config["backbones"]["net"] |= {
        "architecture": "resnet18",
        "options": {"layers": [1, 1, 1, 1], "channels": [4, 8, 8, 16]},
        "weights": {"source": "random", "seed": 0},
        "size": 32,
        "crop_mode": "center",
    }
    recoveries = {"none": {}, "reconstruct": {"samples": 16, "sparsities": [0.4], "scores": ["diagonal"]}}
    levels = {"alpha": 0.5, "delta": 0.5}
    new_study.config = config | {
        "recoveries": recoveries,
        "sparsities": [0.2, 0.4],
        "safe": levels,
        "targets_per_job": 2,
    }
    tables = [f"results/tiny/tables/{name}.parquet" for name in ("accuracy", "dense", "safe_sparsity")]
    new_study.run(*tables)
    accuracy = read_table(new_study.folder / tables[0], ACCURACY)

    folder = new_study.export(
        "--criterion",
        "diagonal@red",
        "--mask",
        "0.4",
        "--recovery",
        "reconstruct@red",
        "--format",
        "safetensors",
    )
    rows = accuracy.query("score == 'diagonal' and recovery == 'reconstruct'").set_index("target")
    assert measured(new_study, folder) == rows["correct"].to_dict()
    card = (folder / "README.md").read_text()
    for row in rows.itertuples():
        unseen = {"red": "no", "blue": "yes"}[row.Index]
        assert f"| {row.Index} | {unseen} | zero_shot | 20 | {row.dense_top1:.4f} | {row.top1:.4f} |" in card
    assert "score `diagonal`, with recovery `reconstruct`, on images of red" in card
    assert "SHA-256 of the prepared train images of red" in card and str(new_study.folder) not in card

    folder.rename(new_study.folder / "first")
    folder = new_study.export("--safe", "--format", "safetensors")
    card = (folder / "README.md").read_text()
    safe = least_safe(read_table(new_study.folder / tables[2], SAFE_SPARSITY))
    assert f"\n# net, pruned to sparsity {safe['safe_sparsity'].max():g}\n" in card
    assert "With probability 50% over the images that this was shown on, pruning costs at most 50 percentage" in card
    assert "this one is the best of 3, so that the risk of the choice is at most 3 times as large" in card


def test_a_network_of_ones_own_is_exported_as_a_program(study):
    folder = study.export("--criterion", "magnitude", "--mask", "0.4")
    assert {file.name for file in folder.iterdir()} == {
        *("README.md", "model.pt2", "model.onnx", "masks.safetensors", "heads.safetensors")
    }
    card = (folder / "README.md").read_text()
    assert "score `magnitude`, with no recovery, on no images" in card
    assert "Nothing is guaranteed at this sparsity: on the unseen tasks (blue, red) no sparsity" in card


# Several choices by one plan of the study, as planning takes seconds.
CHOOSE = """
import sys
from prunetransfer.deploy.from_study import pruned_model
from prunetransfer.deploy.study import Choice, Study
from prunetransfer.stages.dry_run import dry_run

study = Study(dry_run(None))
right = dict(backbone="net", criterion="diagonal@red", recovery="finetune@red", mask="0.4", seed=0)
for wrong in eval(sys.argv[1]):
    try:
        pruned_model(study, Choice(**right | wrong)) if wrong else study.safest("net", 0)
    except ValueError as error:
        print(error)
"""


def choices(study, *wrong: dict) -> list[str]:
    """What is said of the choices, each of which differs in something from one that there is; {}: the safest."""
    environment = os.environ | {"PYTHONPATH": str(study.folder / "src")}
    command = [sys.executable, "-c", CHOOSE, repr(wrong)]
    done = subprocess.run(command, cwd=study.folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_what_the_study_does_not_have_is_one_line(study):
    names = [{"backbone": "nat"}, {"criterion": "diagonal"}, {"recovery": "finetune"}, {"mask": "0.5"}, {"seed": 3}]
    assert choices(study, {}, *names) == [
        "backbone 'net': no sparsity that was tried is guaranteed on all unseen tasks; name one by --criterion, --mask "
        "and --recovery",
        "backbone 'nat': no such backbone; defined are net. Did you mean 'net'?",
        "criterion 'diagonal': no such criterion; defined are diagonal@red, magnitude. Did you mean 'diagonal@red'?",
        "recovery 'finetune': no such recovery; defined are none, finetune@red. Did you mean 'finetune@red'?",
        "mask '0.5': no such mask; defined are 0.4. Did you mean '0.4'?",
        "seed 3: no such seed; defined are 0",
    ]


def test_a_file_that_is_gone_or_of_other_settings_is_refused(study):
    results = Path("results/tiny")
    recovered = results / "recovered/finetune@red/net/diagonal@red/seed0/0.4.safetensors"
    config = study.config
    config["recoveries"]["finetune"]["learning_rate"] = 0.002
    study.config = config
    (line,) = choices(study, {"mask": "0.4"})
    assert line.startswith(f"{recovered} is not of the study as it stands: its settings, code or inputs have changed")
    (study.folder / recovered).unlink()
    (line,) = choices(study, {"mask": "0.4"})
    assert line == f"{recovered} is not there; name it to the study's snakemake command, which then makes it"


def arguments(**given: Any) -> Namespace:
    plain = {"results": Path("results/tiny"), "backbone": "net", "criterion": None, "mask": None, "recovery": None}
    return Namespace(
        **plain | {"safe": False, "seed": None, "formats": [], "configfile": None, "out": Path("out")} | given
    )


def test_what_the_command_refuses_before_it_plans(study, monkeypatch):
    monkeypatch.chdir(study.folder)
    for given, message in (
        ({"safe": True, "mask": "0.4"}, r"^--safe chooses by itself; leave out --mask$"),
        ({"mask": "0.4"}, r"^name what to export by --criterion and --mask, or give --safe$"),
        ({"safe": True, "out": Path("src")}, r"^src: is there already, and not an empty folder; name another one$"),
        ({"safe": True, "formats": ["onxx"]}, r"^format 'onxx': no such format; known are .* Did you mean 'onnx'\?$"),
        ({"safe": True, "results": Path("results/tyni")}, r"^results/tyni: no such study; defined are tiny"),
        ({"safe": True, "results": Path("tiny")}, r"^tiny: there are no results here; .* lie in results/tiny$"),
        ({"safe": True, "configfile": Path("none.yaml")}, r"^none.yaml: no such file"),
    ):
        with pytest.raises(ValueError, match=message):
            export_of_study(arguments(**given))
    assert study_file(Path("results/tiny/"), None) == Path("config.yaml")
