"""Runs that are killed, cut short, disturbed: nothing is lost and nothing is wrong."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import time

import numpy as np
from pandas.testing import assert_frame_equal

from prunetransfer.storage.artifacts import read_tensors
from prunetransfer.storage.schemas.registry import TABLES
from prunetransfer.storage.tables import read_table

RESULTS = "results/tiny"
MEASURED = ["images_per_second", "seconds"]  # by the clock

# Put into the study's own copy of the library: a process that is ordered to die does so, beside what it has written.
DEATH = """
def _die(moment):
    import signal
    import sys

    import psutil

    script = sys.argv[0].rpartition("/")[2].split(".")[-2]
    for victim in ("job", "snakemake"):
        order = Path(f"orders/{script}-{moment}-{victim}")
        try:
            order.unlink()
        except FileNotFoundError:
            continue
        process = psutil.Process()
        if victim == "snakemake":
            process = [parent for parent in process.parents() if "snakemake" in parent.cmdline()][-1]
        process.kill()


"""
# The scripts of the tiny study's stages; evaluate and prepare_images die between their two outputs, too.
STAGES = (
    *(
        "download_weights",
        "prepare_images",
        "fit_head",
        "compute_score",
        "build_mask",
        "recover",
        "evaluate",
        "aggregate_accuracy",
    ),
    *("layer_sparsity", "training", "verdicts", "safe_sparsity", "predicted_loss", "verdicts_page", "draw_figure"),
)
BETWEEN = ("prepare_images", "evaluate", "verdicts", "draw_figure")


def assert_same_results(study, reference) -> None:
    """Every tensor and every table of the study but for what a clock measured."""
    here, there = study.folder / RESULTS, reference.folder / RESULTS
    files = {path.relative_to(there) for path in there.rglob("*.*") if path.suffix in (".parquet", ".safetensors")}
    assert {
        path.relative_to(here) for path in here.rglob("*.*") if path.suffix in (".parquet", ".safetensors")
    } == files
    for path in files:
        if path.suffix == ".safetensors":
            found, expected = read_tensors(here / path), read_tensors(there / path)
            assert all(np.array_equal(found[name], expected[name], equal_nan=True) for name in expected), path
        elif path.stem in TABLES and path.stem != "costs":
            found, expected = (read_table(folder / path, TABLES[path.stem]) for folder in (here, there))
            clocks = expected.columns.intersection(MEASURED)
            assert_frame_equal(found.drop(columns=clocks), expected.drop(columns=clocks), check_exact=True)


def test_whoever_is_killed_a_rerun_ends_in_the_same_results(fresh_study, finished_study, tmp_path):
    """Jobs and Snakemake by turns, at every stage, in a folder whose name has spaces and letters beyond ASCII; the
    images lie in another such folder, which stays as it was."""
    study = fresh_study.copied_to(tmp_path / "étude 1 (essai)")
    data = tmp_path / "données «à moi»"
    shutil.move(study.folder / "images", data / "images")
    shutil.copytree(data, tmp_path / "before")
    study.config |= {"data_root": f"../{data.name}"}
    (study.folder / "orders").mkdir()
    for number, script in enumerate(STAGES):
        moment = "between" if script in BETWEEN else "before"
        (study.folder / f"orders/{script}-{moment}-{('job', 'snakemake')[number % 2]}").touch()
    study.edit(
        "src/prunetransfer/storage/artifacts.py",
        "        os.replace(partial, path)\n",
        "        _die('before')\n        os.replace(partial, path)\n        _die('between')\n",
    )
    study.edit("src/prunetransfer/storage/artifacts.py", "def write_atomically(", f"{DEATH}def write_atomically(")
    runs = 0
    while (done := study.snakemake()).returncode:
        runs += 1
        assert runs < 2 * len(STAGES), done.stderr
        if done.returncode == -signal.SIGKILL:
            study.run("--unlock")
    assert not list((study.folder / "orders").iterdir())
    assert_same_results(study, finished_study)
    assert not list(study.folder.glob("re*/**/.*.partial"))


def test_a_run_ends_with_the_config_that_it_began_with(study, monkeypatch):
    """And nobody else may run in its folder meanwhile; the next run does what the new config implies."""
    table = f"{RESULTS}/tables/accuracy.parquet"
    began, edited = (study.config | {"sparsities": [0.0, 0.4, more]} for more in (0.5, 0.6))
    study.config = began
    first = study.start("--cores", "1", table)
    try:
        while not list(study.folder.glob(".snakemake/locks/*")):
            assert first.poll() is None, first.communicate()[1]
            time.sleep(0.02)
        second = study.snakemake(table)
        study.config = edited
    finally:
        errors = first.communicate(timeout=600)[1]
    assert first.returncode == 0, errors
    assert second.returncode and "Directory cannot be locked" in second.stderr and "Traceback" not in second.stderr
    assert set(read_table(study.folder / table, TABLES["accuracy"])["sparsity"]) == {0.0, 0.4, 0.5}
    masks = {job for job in study.planned() if job.startswith("masks/")}
    assert masks == {f"masks/net/{criterion}/seed0/0.6" for criterion in ("magnitude", "diagonal@red")}

    # A job on a cluster reads the workflow anew.
    kept = {str(path): json.loads(path.read_text())["sparsities"] for path in study.folder.glob(".snakemake/configs/*")}
    (first_run,) = (path for path, sparsities in kept.items() if sparsities == began["sparsities"])
    monkeypatch.setenv("PRUNETRANSFER_CONFIG", first_run)
    (study.folder / "config.yaml").write_text("study: other")
    job = ("--mode", "remote", "--nolock", "--ignore-incomplete", "--force", "--dry-run")
    assert "0.5" in study.run(*job, f"{RESULTS}/masks/net/magnitude/seed0/0.5.safetensors")


def test_a_full_disk_is_named_and_what_it_stopped_is_made_up_for(study):
    figure = study.folder / RESULTS / "figures/retention.png"
    before = figure.read_bytes()
    figure.unlink()
    room = len(before) // 2

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    done = study.snakemake(preexec_fn=limit)
    output = done.stdout + done.stderr
    assert done.returncode and "Traceback" not in output
    assert f"draw_retention: {RESULTS}/figures/retention.png: cannot be written ([Errno 27] File too large)" in output
    assert not list(figure.parent.glob("retention*")) and not list(figure.parent.glob(".*"))
    study.run()
    assert figure.read_bytes() == before


def test_a_home_that_cannot_be_written_stops_nothing(new_study, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    told = new_study.run("results/tiny/heads/net/red.safetensors")
    assert told.count("cannot be written") == 1 and "XDG_CACHE_HOME names another folder" in told
    assert (new_study.folder / "results/tiny/heads/net/red.safetensors").exists()
