"""Which device a stage computes on, and how many threads it may use."""

from __future__ import annotations

import random

import numpy as np
import psutil
import torch


def prepare_process(threads: int, seed: int) -> torch.device:
    """Bind this process to `threads` CPU threads and one seed, ask for deterministic kernels.

    Returns the GPU that this process may see, else the CPU.
    """
    torch.set_num_threads(threads)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """`cpu`, or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def spare_memory(device: torch.device) -> int:
    """Bytes that one computation may fill: half of what is free on a GPU, a quarter on the CPU, which jobs share."""
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else psutil.virtual_memory().available // 4
