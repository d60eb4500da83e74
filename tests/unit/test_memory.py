"""What jobs ask for: by their settings, without building a backbone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from prunetransfer.config import memory
from prunetransfer.curvature import gradients
from prunetransfer.layers import lockstep

DIAGONAL = {"score": "diagonal", "matrix": "empirical", "samples": 256}
BLOCK = DIAGONAL | {"score": "block", "memory_budget": 500, "block_size": 64}


def test_planning_imports_no_torch():
    code = "import sys, prunetransfer.config.memory; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_what_is_held_at_a_time_is_what_the_library_holds():
    assert memory.CHUNK_PIXELS == lockstep.CHUNK_PIXELS
    assert memory.GRADIENTS_AT_ONCE == gradients.IMAGES_AT_ONCE


# The peak in MB of a process on ResNet-50 (samples, size), where the backbone took 900: docs/benchmarks.md.
@pytest.mark.parametrize(
    ("estimate", "settings", "size", "peak"),
    [
        (memory.scoring, DIAGONAL | {"samples": 12}, 224, 4300),
        (memory.recovering, {"recovery": "batchnorm", "samples": 16}, 224, 1250),
        (memory.recovering, {"recovery": "finetune", "batch_size": 6}, 224, 1620),
    ],
)
def test_a_job_asks_for_what_was_measured_and_not_for_much_more(estimate, settings, size, peak):
    spare = memory.PROCESS + 8 * memory.COPY
    assert peak < estimate(settings, size) < peak + spare


def test_images_beside_count():
    alone = {"recovery": "reconstruct", "samples": 256}
    both = memory.recovering(alone | {"beside": ["noise"]}, 224)
    assert both == memory.recovering(alone | {"samples": 512}, 224) > memory.recovering(alone, 224)


@pytest.mark.parametrize("recovery", ["batchnorm", "moments", "reconstruct"])
def test_recoveries_that_hold_all_images_ask_by_their_number_and_size(recovery):
    asked = {
        (samples, size): memory.recovering({"recovery": recovery, "samples": samples}, size)
        for samples in (256, 512, 1024)
        for size in (32, 224)
    }
    growth = asked[1024, 224] - asked[512, 224]
    assert growth == pytest.approx(2 * (asked[512, 224] - asked[256, 224]), abs=2)
    assert growth > 512 * 224**2 * 200e-6
    assert asked[1024, 32] - asked[512, 32] < growth / 10


def test_gradients_are_bounded_and_a_budget_comes_on_top():
    many, most = (memory.scoring(DIAGONAL | {"samples": samples}, 224) for samples in (64, 10**6))
    assert many == most
    assert memory.scoring(DIAGONAL, 32) < most - 2500
    budgets = [memory.scoring(BLOCK | {"memory_budget": budget}, 224) for budget in (500, 9000)]
    assert budgets[1] - budgets[0] == 8500
    assert budgets[0] > most
    # Without one, blocks fill a quarter of what is asked for.
    free = memory.scoring(BLOCK | {"memory_budget": None}, 224)
    assert free * 3 / 4 == pytest.approx(budgets[0] - 500, abs=2)


def test_a_score_asks_for_what_it_holds_of_its_own():
    asked = {name: memory.scoring({"score": name, "samples": 256}, 224) for name in ("snip", "kfac", "sparsegpt")}
    assert asked["kfac"] == asked["snip"] + memory.FACTORS
    reconstruct = memory.recovering({"recovery": "reconstruct", "samples": 256}, 224)
    assert asked["sparsegpt"] == reconstruct
    assert memory.scoring({"score": "magnitude"}, 224) < asked["snip"]
