"""Every stage on the GPU: what it finds on the CPU, and the same each time."""

from __future__ import annotations

import pytest
import torch
from gpu.cases import Case, Place
from gpu.stages import STAGES, assert_agree, found
from gpu.trainings import resumed

from prunetransfer.models.backbones import extract_features
from prunetransfer.runtime.devices import in_batches

# torch computes a ViT's attention image after image under vmap, and says so each time; kernels that are not
# deterministic are told apart by what they find.
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore:There is a performance drop", "ignore:.*deterministic"),
]

CPU = Place(torch.device("cpu"))
ALL = [(name, kind) for name, stage in STAGES.items() for kind in stage.kinds]


@pytest.mark.parametrize(("name", "kind"), ALL)
def test_a_stage_finds_what_it_finds_on_the_cpu(name, kind, gpu):
    assert_agree(name, kind, Place(gpu), CPU)


@pytest.mark.parametrize(("name", "kind"), ALL)
def test_a_stage_finds_the_same_each_time(name, kind, gpu):
    first, second = (found(name, kind, Place(gpu)) for _ in range(2))
    assert [key for key in first if not torch.equal(first[key], second[key])] == []


@pytest.mark.parametrize("kind", ["resnet", "attention"])
def test_a_killed_fine_tuning_goes_on_from_its_saved_state(kind, gpu, tmp_path):
    after_a_kill, without = resumed(Case(kind, Place(gpu)), tmp_path)
    assert [name for name in without if not torch.equal(after_a_kill[name], without[name])] == []


def test_batches_shrink_until_they_fit_into_memory(gpu):
    backbone = Case("resnet", Place(gpu)).dense()
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(256, (300, 224, 224, 3), generator=draw, dtype=torch.uint8)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    expected = extract_features(backbone, images, batch_size=32)
    room, total = 2 * torch.cuda.max_memory_reserved(), torch.cuda.mem_get_info()[1]
    torch.cuda.empty_cache()
    sizes = []

    def features(batch: torch.Tensor) -> torch.Tensor:
        sizes.append(len(batch))
        return backbone(batch)

    torch.cuda.set_per_process_memory_fraction(room / total)
    try:
        with torch.no_grad():
            found = in_batches(features, images, gpu)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert sizes[0] == 256
    assert min(sizes) < 256
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
