"""What Snakemake loses of a config, and what is said of it."""

from __future__ import annotations

import json

import pytest
import yaml

from prunetransfer.config import ConfigError
from prunetransfer.config.extending import extended, family, read_study
from prunetransfer.config.reading import from_command_line, refuse_duplicate_keys

TWICE = """\
study: tiny
scores:
  block: {samples: 8, loss: squared, samples: 16}
  block: {}
datasets:
  - {a: 1}
  - {a: 1, b: 2, "a": 3}
"study": other
"""
ONCE = """\
base: &base {size: 8, crop: 1.0}
one: {<<: *base, crop: 0.5}
two: {<<: *base, one: 1, two: 1}
again: *base
"""


def test_every_key_that_stands_twice_is_named_with_its_lines(tmp_path):
    (tmp_path / "a.yaml").write_text(TWICE)
    (tmp_path / "b.json").write_text('{"seeds": [0],\n "head": {},\n "seeds": [1]}')
    (tmp_path / "c.yaml").write_text(ONCE)
    with pytest.raises(ConfigError) as caught:
        refuse_duplicate_keys([tmp_path / "a.yaml", str(tmp_path / "b.json"), tmp_path / "c.yaml"])
    said = [line.split("/")[-1].split(";")[0] for line in str(caught.value).splitlines()]
    assert sorted(said) == [
        "a.yaml: datasets[1].a is there twice, in lines 7 and 7",
        "a.yaml: scores.block is there twice, in lines 3 and 4",
        "a.yaml: scores.block.samples is there twice, in lines 3 and 3",
        "a.yaml: study is there twice, in lines 1 and 8",
        "b.json: seeds is there twice, in lines 1 and 3",
    ]


@pytest.mark.parametrize("text", [ONCE, "", json.dumps({"a": {"b": [1, {"b": 2}]}, "b": 1}), "a: &a {b: [*a]}"])
def test_keys_that_differ_and_those_that_override_are_taken(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    refuse_duplicate_keys([tmp_path / "config.yaml"])


def test_numbers_in_lists_and_mappings_of_the_command_line_are_numbers():
    entries = ["sparsities=[0.3,0.6]", "seeds=[1]", 'targets=["7", a]', "head={alpha: 10, kind: ridge}", "study=x=[1]"]
    assert from_command_line([*entries, "threads=2", "data_root=[", "gpu="]) == {
        "sparsities": [0.3, 0.6],
        "seeds": [1],
        "targets": ["7", "a"],
        "head": {"alpha": 10, "kind": "ridge"},
    }


FILES = {
    "base.yaml": """
study: base
seeds: [0, 1]
head: {kind: ridge, alpha: 1.0}
recoveries: {none: {}, finetune: {epochs: 3}}
""",
    "middle/study.yaml": """
extends: ../base.yaml
head: {alpha: 2.0}
recoveries: {finetune: {loss: squared}}
scores: {block: }
""",
    "top.yaml": """
extends: middle/study.yaml
study: top
seeds: [7]
recoveries: {finetune: null, moments: null}
scores: null
""",
}


@pytest.fixture
def studies(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_study_has_the_keys_of_what_it_extends_and_its_own_win(studies):
    assert read_study(studies / "base.yaml") == yaml.safe_load(FILES["base.yaml"])
    assert read_study(studies / "middle/study.yaml") == {
        **{"study": "base", "seeds": [0, 1], "head": {"kind": "ridge", "alpha": 2.0}},
        "recoveries": {"none": {}, "finetune": {"epochs": 3, "loss": "squared"}},
        "scores": {"block": None},  # which no study had: an entry left empty
    }
    assert read_study(studies / "top.yaml") == {
        **{"study": "top", "seeds": [7], "head": {"kind": "ridge", "alpha": 2.0}},
        "recoveries": {"none": {}, "moments": None},
    }


def test_the_command_line_comes_on_top_of_all(studies):
    given = yaml.safe_load(FILES["top.yaml"]) | {"seeds": [9]}
    assert extended(given, [studies / "top.yaml"]) == read_study(studies / "top.yaml") | {"seeds": [9]}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("extends: nowhere.yaml", "extends = 'nowhere.yaml': there is no file '{folder}/nowhere.yaml'"),
        ("extends: 3", "extends = 3: must be text that is not empty"),
        ("extends: base.yaml", "extends = 'base.yaml': a study that extends itself: "),
        ("extends: list.yaml", "list.yaml: must be a mapping of a study's keys"),
        ("extends: broken.yaml", "broken.yaml: not readable as YAML: "),
    ],
)
def test_what_cannot_be_extended_is_named_in_one_line(studies, text, complaint):
    (studies / "base.yaml").write_text(text)
    (studies / "list.yaml").write_text("[study]")
    (studies / "broken.yaml").write_text("study: [")
    with pytest.raises(ConfigError) as caught:
        read_study(studies / "top.yaml")
    (line,) = str(caught.value).splitlines()
    assert complaint.format(folder=studies) in line


def test_what_extends_stands_in_a_file(studies):
    with pytest.raises(ConfigError, match=r"extends = 'top.yaml': belongs into a file"):
        extended({"extends": "top.yaml"}, [studies / "base.yaml"])


def test_keys_that_stand_twice_in_what_is_extended_are_found(studies):
    (studies / "base.yaml").write_text("study: a\nstudy: b\n")
    with pytest.raises(ConfigError, match=r"base.yaml: study is there twice, in lines 1 and 2"):
        refuse_duplicate_keys(family(studies / "top.yaml"))
