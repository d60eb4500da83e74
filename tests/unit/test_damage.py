"""What stages hand to each other, damaged: every kind of file is refused by name, whatever byte has suffered."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from prunetransfer.datasets.prepared import Preparation, write_split
from prunetransfer.datasets.samples import Samples
from prunetransfer.datasets.splits import read_split
from prunetransfer.heads import Head, read_head, write_head
from prunetransfer.pruning.masks import read_mask, write_mask
from prunetransfer.storage.artifacts import ArtifactError, check, read_metadata, read_tensors, write_tensors
from prunetransfer.storage.schemas.accuracy import PREDICTIONS
from prunetransfer.storage.tables import read_table, table_metadata, write_table

CPU = torch.device("cpu")
WEIGHTS = {"conv.weight": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4), "steps": np.array(7)}
ANSWERS = {
    "mask": "global",
    "sparsity": [0.1, 0.5],
    "readout": "zero_shot",
    "target": "red",
    "predicted": [[0, 1], [1, 1]],
}


def prepared(path: Path) -> None:
    from PIL import Image

    images = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    write_split(path, Samples(images, np.array([0, 1]), ["red", "blue"]), Preparation(4), {})


def answers(path: Path) -> None:
    write_table(path, pd.DataFrame(ANSWERS), PREDICTIONS, {"settings": {"backbone": "net"}})


# Each kind of file: how it is written, and all that reads it.
KINDS = {
    "weights": (partial(write_tensors, tensors=WEIGHTS, metadata={"seed": 0}), [read_tensors]),
    "images": (prepared, [read_split]),
    "head": (
        partial(write_head, head=Head(torch.ones(2, 3), torch.zeros(3), 0.5), metadata={}),
        [partial(read_head, device=CPU)],
    ),
    "mask": (partial(write_mask, mask={"conv.weight": WEIGHTS["conv.weight"] > 0}, metadata={}), [read_mask]),
    "table": (answers, [partial(read_table, schema=PREDICTIONS), table_metadata]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_found_wherever_it_is(tmp_path, kind):
    write, readers = KINDS[kind]
    path = tmp_path / "file"
    write(path)
    whole = path.read_bytes()
    for read in readers:
        read(path)
    for index in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[index] ^= 1 << index % 8
        path.write_bytes(damaged)
        for read in readers:
            with pytest.raises(ArtifactError, match=f"{path}: damaged, or .*; delete it and run again"):
                read(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_lost_or_gained_bytes_is_refused(tmp_path, kind):
    write, readers = KINDS[kind]
    path = tmp_path / "file"
    write(path)
    whole = path.read_bytes()
    for damaged in (b"", whole[:7], whole[: len(whole) // 2], whole[:-1], whole[1:], whole + b"\0", whole + whole):
        path.write_bytes(damaged)
        for read in readers:
            with pytest.raises(ArtifactError, match=f"{path}: damaged"):
                read(path)


def test_a_whole_file_of_another_kind_is_refused_by_name(tmp_path):
    tensors, table = tmp_path / "tensors", tmp_path / "table"
    write_tensors(tensors, WEIGHTS, {})
    answers(table)
    check(tensors)
    check(table)
    with pytest.raises(ArtifactError, match=f"{table}: damaged, or written by another program"):
        read_tensors(table)
    with pytest.raises(ArtifactError, match=f"{tensors}: damaged, or written by another program"):
        read_table(tensors, PREDICTIONS)


def test_a_file_that_may_not_be_read_says_why(tmp_path):
    with pytest.raises(ArtifactError, match=f"{tmp_path}: cannot be read \\(Is a directory\\)"):
        check(tmp_path)


def test_metadata_are_checked_without_a_look_at_the_data(tmp_path):
    path = tmp_path / "file"
    write_tensors(path, WEIGHTS, {"sparsity": 0.5})
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"\0")
    assert read_metadata(path)["sparsity"] == 0.5
    path.write_bytes(whole.replace(b"0.5", b"0.7"))
    with pytest.raises(ArtifactError, match=f"{path}: damaged"):
        read_metadata(path)
