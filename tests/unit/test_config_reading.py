"""What Snakemake loses of a config, and what is said of it."""

from __future__ import annotations

import json

import pytest

from prunetransfer.config import ConfigError
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
