"""A fine-tuning that was killed goes on where it was, and ends in the weights that it would have had."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import torch
from torch import Tensor
from unit.networks import backbone_of, images_of, state_of
from unit.test_finetune import SETTINGS, pruned

from prunetransfer.recovery.case import Case
from prunetransfer.recovery.finetune import finetune
from prunetransfer.training import saved_state
from prunetransfer.training.saved_state import SavedState

LONG = SETTINGS | {"epochs": 4, "momentum": 0.5, "least_crop": 0.3, "milestones": [2]}


@pytest.fixture
def output(tmp_path):
    (tmp_path / "input").write_text("an input")
    return tmp_path / "0.5.safetensors"


def saved_beside(output, settings=LONG) -> SavedState:
    return SavedState(output, settings, [str(output.with_name("input"))])


def tuned(saved: SavedState | None, **settings) -> tuple[dict[str, Tensor], list[dict]]:
    backbone, mask, head = pruned()
    curve = finetune(Case(backbone, backbone_of(), mask, head, images_of(12), 0, saved), **settings)
    return state_of(backbone), [{key: value for key, value in row.items() if key != "seconds"} for row in curve]


def tuned_until(step: int, output, monkeypatch, optimizer: str) -> None:
    """Tune until the state has been saved after `step` steps, then be killed; runs in a process of its own."""
    monkeypatch.setattr(saved_state, "SAVE_EVERY", 0.0)
    save, saves = SavedState.save, []

    def save_and_die(self, state):
        saves.append(save(self, state))
        if len(saves) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(SavedState, "save", save_and_die)
    tuned(saved_beside(output), **LONG, optimizer=optimizer)


# 12 images in batches of 5: three steps an epoch.
@pytest.mark.parametrize(("step", "optimizer"), [(1, "sgd"), (5, "adamw"), (6, "sgd")])
def test_a_killed_run_ends_in_the_same_weights(step, optimizer, output, capsys):
    program = (
        "import sys; from pytest import MonkeyPatch; from unit.test_resume import tuned_until\n"
        f"tuned_until({step}, __import__('pathlib').Path({str(output)!r}), MonkeyPatch(), {optimizer!r})"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    expected = tuned(None, **LONG, optimizer=optimizer)
    capsys.readouterr()
    weights, curve = tuned(saved_beside(output), **LONG, optimizer=optimizer)
    assert f"resumed after step {(step - 1) % 3 + 1} of epoch {(step - 1) // 3 + 1}" in capsys.readouterr().out
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected[0].items())
    assert curve == expected[1]


def test_a_state_of_another_job_is_not_used(output):
    saved_beside(output).save({"epoch": 3})
    assert saved_beside(output).load() == {"epoch": 3}
    assert saved_beside(output, LONG | {"epochs": 5}).load() is None
    output.with_name("input").write_text("another input")
    assert saved_beside(output).load() is None


def test_a_damaged_state_is_not_used(output, capsys):
    saved_beside(output).save({"epoch": 3})
    path = output.with_name("0.5.state")
    path.write_bytes(path.read_bytes()[:50])
    assert saved_beside(output).load() is None
    assert "0.5.state: not a readable state" in capsys.readouterr().out
    saved_beside(output).save({"weights": torch.full((100,), 7.0)})
    whole = path.read_bytes()
    path.write_bytes(whole.replace(torch.tensor([7.0, 7.0]).numpy().tobytes(), b"\0" * 8, 1))
    assert saved_beside(output).load() is None


def test_the_state_is_gone_once_removed(output):
    saved = saved_beside(output)
    assert saved.load() is None
    saved.save({})
    saved.remove()
    assert sorted(path.name for path in output.parent.iterdir()) == ["input"]
