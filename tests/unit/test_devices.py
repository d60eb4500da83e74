"""What a job asks of the device that it computes on."""

from __future__ import annotations

import os
import weakref

import pytest
import torch
from gpu.pretended import pretended_gpu

from prunetransfer.runtime import devices

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    """Leaves nothing behind of what a job does to its process."""
    monkeypatch.setenv(WORKSPACE, "")  # so that it is as before, afterwards
    monkeypatch.delenv(WORKSPACE)


def fused_attention() -> list[bool]:
    backends = torch.backends.cuda
    return [backends.flash_sdp_enabled(), backends.mem_efficient_sdp_enabled(), backends.cudnn_sdp_enabled()]


def test_the_workspace_of_cublas_is_set_before_cuda_is_asked_anything(monkeypatch):
    found = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found.append(os.environ.get(WORKSPACE)) or 0)
    devices.prepare_process(1, 0)
    monkeypatch.setenv(WORKSPACE, ":16:8")
    devices.prepare_process(1, 0)
    assert found == [":4096:8", ":16:8"]


def test_a_gpu_computes_in_float32_and_without_attention_of_random_order():
    with pretended_gpu() as gpu:
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cuda.enable_flash_sdp(True)
        assert devices.prepare_process(1, 0) == torch.device(gpu.type)
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
        assert not any(fused_attention())


def test_a_cpu_keeps_its_kernels():
    before = fused_attention()
    assert devices.prepare_process(1, 0) == torch.device("cpu")
    assert fused_attention() == before
    assert before[0]


def test_memory_that_pytorch_keeps_for_itself_is_spare(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 700)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 400)
    assert devices.spare_memory(torch.device("cuda")) == (100 + 300) // 2


def test_what_a_failed_batch_left_is_gone_before_memory_is_handed_back(monkeypatch):
    left = []

    def compute(batch: torch.Tensor) -> torch.Tensor:
        written = 2 * batch
        if len(batch) > 2:
            left.append(weakref.ref(written))
            raise torch.OutOfMemoryError
        return written

    freed = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: freed.append(left[-1]() is None))
    images = torch.arange(8)
    assert torch.equal(devices.in_batches(compute, images, torch.device("cpu"), 8), 2 * images)
    assert freed == [True, True]


def test_full_precision_leaves_what_was_chosen_before():
    torch.backends.cudnn.allow_tf32 = True
    with pytest.raises(ValueError), devices.full_precision():
        assert not torch.backends.cudnn.allow_tf32
        raise ValueError
    assert torch.backends.cudnn.allow_tf32
