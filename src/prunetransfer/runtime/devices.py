"""Which device a stage computes on, and how many threads it may use."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import psutil
import torch
from torch import Tensor

from prunetransfer.runtime.leases import JOBS_PER_GPU, lease
from prunetransfer.storage import provenance as process

# Images a step: what a GPU is kept busy with, and what stays in the caches of a CPU, where more is slower.
BATCH_SIZES = {"cuda": 256, "cpu": 32}
RECOVERY = 8  # batches that must fit before the size doubles again


def prepare_process(threads: int, seed: int, deterministic: bool = True) -> torch.device:
    """Bind this process to `threads` CPU threads and one seed, ask for deterministic kernels.

    deterministic: without it, PyTorch chooses kernels as it does for everybody: the fastest ones.
    Returns a GPU that no other job has, where there is one to see, else the CPU. Comes before whatever starts CUDA.
    """
    if deterministic:  # read when CUDA starts; cuBLAS is else not deterministic
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    _see_one_gpu()
    torch.set_num_threads(threads)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if deterministic:
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda" and deterministic:
        _compute_as_the_cpu_does()
    process.note(seed=seed, device=device_name(device))
    return device


@contextmanager
def full_precision() -> Iterator[None]:
    """Meanwhile convolutions on a GPU compute in float32, as in a study, in place of TF32, PyTorch's default."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _compute_as_the_cpu_does() -> None:
    """float32 is float32, and a backward pass through attention gives the same gradients each time.

    Convolutions would round to TF32's 10 bits. Fused attention adds up gradients in any order unless every operation
    without a deterministic kernel is an error, which would refuse networks that have one.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.enable_flash_sdp(False)
    torch.backends.cuda.enable_mem_efficient_sdp(False)
    torch.backends.cuda.enable_cudnn_sdp(False)


def _see_one_gpu() -> None:
    """Lease a GPU of those that this process sees, and hide the others; a single one that was given is left as it is.

    Hidden, since then neither libraries nor child processes can touch them, and `cuda` means the same everywhere. This
    comes first, as CUDA reads the variable when it starts; PyTorch counts through NVML, which does not start it.
    """
    count, given = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if count == 0 or (given and count == 1):
        return
    devices = [name.strip() for name in given.split(",")[:count]] if given else [str(index) for index in range(count)]
    os.environ["CUDA_VISIBLE_DEVICES"] = lease(devices, int(os.environ.get(JOBS_PER_GPU, 1)))


def device_name(device: torch.device) -> str:
    """`cpu`, or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def spare_memory(device: torch.device) -> int:
    """Bytes that one computation may fill: half of what is free on a GPU, a quarter on the CPU, which jobs share.

    A job of SLURM counts on no more than the memory that it was given.
    """
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(
            device
        )  # freed, for PyTorch to use again
        return (torch.cuda.mem_get_info(device)[0] + kept) // 2
    given = os.environ.get("SLURM_MEM_PER_NODE")  # MB; 0 stands for all
    available = psutil.virtual_memory().available
    return (min(available, int(given) * 2**20) if given and int(given) else available) // 4


def in_batches(
    compute: Callable[[Tensor], Tensor], images: Tensor, device: torch.device, size: int | None = None
) -> Tensor:
    """`compute` of all images, joined, in batches of `size` or what suits the device.

    Where one runs out of memory its size is halved, and doubled again, up to the usual one, after a few that fit.
    Raises torch.OutOfMemoryError where a single image does not fit.
    """
    usual = size = size or BATCH_SIZES[device.type]
    found, start, fitted = [], 0, 0
    while start < len(images):
        try:
            found.append(compute(images[start : start + size].to(device, non_blocking=True)))
            fits = True
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            fits = False  # answered below: while it is handled, the error keeps alive what was computed until then
        if not fits:
            size, fitted = size // 2, 0
            torch.cuda.empty_cache()
            continue
        start, fitted = start + size, fitted + 1
        if size < usual and fitted == RECOVERY:
            size, fitted = min(usual, 2 * size), 0
    return torch.cat(found)
