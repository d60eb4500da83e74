"""Files that stages hand to each other: whole or absent, in order, the same bytes each time, clear when unreadable."""

from __future__ import annotations

import platform

import numpy as np
import pytest
from safetensors.numpy import save_file

import prunetransfer
from prunetransfer.storage import artifacts, provenance
from prunetransfer.storage.artifacts import (
    ArtifactError,
    read_metadata,
    read_tensors,
    write_atomically,
    write_tensors,
)

TENSORS = {
    "stem": np.arange(6, dtype=np.float32).reshape(2, 3),
    "blocks.9": np.array([[True, False]]),
    "blocks.10": np.arange(4, dtype=np.uint8),
    "a": np.array([-1, 2], dtype=np.int64),
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "results" / "tensors.safetensors"
    write_tensors(path, TENSORS, {"alpha": 0.5, "classes": ["b", "a"], "none": None})
    return path


def test_tensors_come_back_in_their_order(file):
    found = read_tensors(file)
    assert list(found) == list(TENSORS)
    for name, array in TENSORS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_metadata_comes_back(file):
    metadata = read_metadata(file)
    assert (metadata["alpha"], metadata["classes"], metadata["none"]) == (0.5, ["b", "a"], None)


def test_layout_in_memory_does_not_count(tmp_path):
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for name, same in {"plain": array, "strided": np.asfortranarray(array)}.items():
        write_tensors(tmp_path / name, {"w": same}, {})
    np.testing.assert_array_equal(read_tensors(tmp_path / "strided")["w"], array)
    assert (tmp_path / "plain").read_bytes() == (tmp_path / "strided").read_bytes()


def test_a_scalar_stays_a_scalar(tmp_path):
    write_tensors(tmp_path / "file", {"num_batches_tracked": np.array(7)}, {})
    assert read_tensors(tmp_path / "file")["num_batches_tracked"].shape == ()


def test_same_content_gives_the_same_bytes(tmp_path):
    metadata = {"settings": {"seed": 0, "loss": "squared", "samples": 256}, "version": "1", "python": "3"}
    contents = set()
    for k in range(10):
        write_tensors(tmp_path / f"{k}", TENSORS, dict(sorted(metadata.items(), reverse=k % 2 == 0)))
        contents.add((tmp_path / f"{k}").read_bytes())
    assert len(contents) == 1


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    def write(partial):
        partial.write_text("half of it")
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write_atomically(tmp_path / "new", write)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_what_was_there(file):
    before = file.read_bytes()
    with pytest.raises(TypeError):
        write_tensors(file, TENSORS, {"settings": object()})
    with pytest.raises(RuntimeError):
        write_atomically(file, lambda partial: (_ for _ in ()).throw(RuntimeError))
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_reader_never_meets_half_a_file(file):
    def write(partial):
        partial.write_text("half")
        assert list(read_tensors(file)) == list(TENSORS)
        partial.write_text("whole")

    write_atomically(file, write)
    assert file.read_text() == "whole"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_numbers_that_are_not_finite_are_neither_written_nor_read(file, value, dtype, monkeypatch):
    before = file.read_bytes()
    wrong = np.ones((2, 3), dtype=dtype)
    wrong[1, 2] = value
    message = f"{file}: conv.weight: 1 of 6 numbers are NaN or infinite"
    with pytest.raises(ArtifactError, match=message):
        write_tensors(file, {"ok": np.ones(2), "conv.weight": wrong}, {})
    assert file.read_bytes() == before
    with monkeypatch.context() as unchecked:  # as a version before this check wrote it
        unchecked.setattr(artifacts, "_refuse_not_finite", lambda *_: None)
        write_tensors(file, {"conv.weight": wrong}, {})
    with pytest.raises(ArtifactError, match=message):
        read_tensors(file)


DAMAGES = {
    "missing": lambda path: path.unlink(),
    "last byte lost": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "header cut": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "empty": lambda path: path.write_bytes(b""),
    "foreign": lambda path: path.write_bytes(b"<html>no tensors</html>"),
    "folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("read", [read_tensors, read_metadata])
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_be_read_is_named(file, read, damage):
    DAMAGES[damage](file)
    with pytest.raises(ArtifactError) as error:
        read(file)
    complaint = {"missing": "no such file", "folder": "cannot be read"}.get(damage, "damaged")
    assert str(error.value).startswith(f"{file}: {complaint}")


def test_files_of_other_programs_are_refused(tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file({"w": np.ones(2)}, path, metadata={"format": "pt"})
    for read in (read_tensors, read_metadata):
        with pytest.raises(ArtifactError, match=f"{path}: .*written by another program"):
            read(path)


def test_a_file_of_a_stage_says_how_it_was_made(tmp_path):
    with provenance.of_stage("fit_head", "0f", {"backbone": "net", "seed": "3"}, {"alpha": 1.0}):
        write_tensors(tmp_path / "made", TENSORS, {"classes": ["a"]})
        provenance.note(device="a GPU")
        write_tensors(tmp_path / "told", TENSORS, {"settings": {"alpha": 2.0}})
    write_tensors(tmp_path / "later", TENSORS, {})
    made, told, later = (read_metadata(tmp_path / name) for name in ("made", "told", "later"))
    assert (made["stage"], made["code"], made["seed"], made["wildcards"]["backbone"]) == ("fit_head", "0f", 3, "net")
    assert (made["settings"], made["device"], made["classes"]) == ({"alpha": 1.0}, "cpu", ["a"])
    assert (told["settings"], told["device"]) == ({"alpha": 2.0}, "a GPU")
    versions = made["versions"]
    assert (versions["prunetransfer"], versions["python"]) == (prunetransfer.__version__, platform.python_version())
    assert list(later) == ["order"]
