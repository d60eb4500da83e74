"""What a user reads when something is wrong: one clear message, no traceback, nothing half written."""

from __future__ import annotations

import re

from prunetransfer.storage import artifacts
from prunetransfer.storage.artifacts import read_tensors, write_tensors


def failed(study, *arguments: str) -> str:
    done = study.snakemake(*arguments)
    assert done.returncode != 0
    output = done.stdout + done.stderr
    assert "Traceback" not in output
    return output


def test_every_mistake_in_the_config_is_named_before_any_job(new_study):
    new_study.config |= {"targets": ["rde"], "sparsities": [1.5], "sorces": ["red"]}
    output = failed(new_study)
    assert "targets[0] = 'rde'" in output and "Did you mean 'red'" in output
    assert "sparsities[0] = 1.5" in output
    assert "sorces" in output and "sources" in output
    assert not (new_study.folder / "results").exists()


def test_a_key_that_stands_twice_is_refused_before_any_job(new_study):
    path = new_study.folder / "config.yaml"
    path.write_text(path.read_text() + "sparsities: [0.9]\n")
    assert "config.yaml: sparsities is there twice, in lines " in failed(new_study)
    assert not (new_study.folder / "results").exists()


def test_lists_of_numbers_on_the_command_line_are_numbers(new_study):
    planned = new_study.run("--dry-run", "--config", "sparsities=[0.3, 0.4]", "seeds=[1]", "recoveries={none: {}}")
    masks = set(re.findall(r"masks/net/magnitude/(seed\d/0\.\d+)\.safetensors", planned))
    assert masks == {"seed1/0.3", "seed1/0.4"}


def test_a_wrong_checkpoint_leaves_nothing_behind(new_study):
    config = new_study.config
    config["backbones"]["net"]["weights"]["sha256"] = "0" * 64
    new_study.config = config
    output = failed(new_study)
    assert "download_weights: net.pt: its SHA-256 is" in output and "0" * 64 in output
    assert not list((new_study.folder / "resources").rglob("*.*"))


def test_a_damaged_file_is_named_not_used(study):
    scores = study.folder / "results/tiny/scores/net/diagonal@red/seed0.safetensors"
    content = scores.read_bytes()
    scores.write_bytes(content[: len(content) // 2])
    output = failed(study)
    assert "build_mask: results/tiny/scores/net/diagonal@red/seed0.safetensors: damaged" in output


def test_scores_that_are_not_numbers_build_no_mask(study, monkeypatch):
    scores = study.folder / "results/tiny/scores/net/magnitude/seed0.safetensors"
    tensors = read_tensors(scores)
    tensors["0.weight"] = tensors["0.weight"] * float("nan")
    # Written past the writer's own check, as by another program.
    monkeypatch.setattr(artifacts, "_refuse_not_finite", lambda path, tensors: None)
    write_tensors(scores, tensors, {})
    named = "build_mask: results/tiny/scores/net/magnitude/seed0.safetensors: 0.weight: 162 of 162 numbers are NaN"
    assert named in failed(study)
