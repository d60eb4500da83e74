"""Main memory that jobs ask for, in MB, from their settings alone: a plan builds no backbone and imports no torch.

Bytes are those measured on ResNet-50 in float32, whose layers write more for a pixel of an image than those of ViTs,
MobileNets and EfficientNets (docs/benchmarks.md). A network that needs more has it at the next attempt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# The interpreter, its libraries, CUDA's share of main memory, and a backbone that is read from its file.
PROCESS = 2500
# All weights of a ViT-B once.
COPY = 350
# Bytes for each pixel of each image that is held: a forward pass; the live layers of two backbones that wait for each
# other, and of a chunk of images that runs on; the graph of a training step, and of per-sample gradients.
FORWARD, WAITING, RUNNING, TRAINING, GRADIENTS = 460, 300, 600, 2400, 5600
# Images that are held at a time, at most: of a forward pass, of per-sample gradients.
BATCH, GRADIENTS_AT_ONCE = 32, 64
# Per-sample gradients: what a batch is kept to, and what the rows of one layer and their blocks take beside it.
GRADIENT_BATCH, GRADIENT_ROWS = 3500, 1500
# Products of patches and the systems that are solved with them.
LEAST_SQUARES = 800
# Of a ViT-B, in float64: the Kronecker factors of all layers and their eigenvectors.
FACTORS = 5500
CHUNK_PIXELS = 32 * 224**2  # of prunetransfer.layers.lockstep


def reading(size: int) -> int:
    """To read features of images of size × size pixels, and to fit and measure heads on them."""
    return round(PROCESS + 2 * COPY + _held(BATCH, size, FORWARD))


def scoring(settings: Mapping[str, Any], size: int) -> int:
    """To compute a score. settings: its entry in the config."""
    if "samples" not in settings:
        return PROCESS + 4 * COPY
    if settings["score"] == "sparsegpt":
        return round(PROCESS + 2 * COPY + _side_by_side(_images(settings), size))
    needed = PROCESS + 4 * COPY + _gradients(settings["samples"], size)
    if settings["score"] == "kfac":
        needed += FACTORS
    return round(_with_blocks(needed, settings["memory_budget"]) if "memory_budget" in settings else needed)


def timing(batch_sizes: Sequence[int], size: int) -> int:
    """To measure a dense and a pruned backbone side by side, both perhaps in a second precision, and their files."""
    return round(PROCESS + 6 * COPY + _held(max(batch_sizes), size, FORWARD))


def recovering(settings: Mapping[str, Any], size: int) -> int:
    """To recover a pruned backbone. settings: the recovery's entry in the config."""
    needed = PROCESS + 2 * COPY
    match settings["recovery"]:
        case "finetune":
            needed += 4 * COPY + _held(settings["batch_size"], size, TRAINING)
        case "compensate":
            needed = _with_blocks(needed + 2 * COPY + _gradients(settings["samples"], size), None)
        case "batchnorm":
            needed += _held(_images(settings), size, FORWARD)
        case "moments" | "reconstruct":
            needed += _side_by_side(_images(settings), size)
    return round(needed)


def _images(settings: Mapping[str, Any]) -> int:
    """All that a recovery or a score sees: `samples` of the source, and of each dataset beside it."""
    return settings["samples"] * (1 + len(settings.get("beside", ())))


def _side_by_side(samples: int, size: int) -> float:
    """A dense and a pruned backbone that wait for each other at every layer (layers.lockstep)."""
    running = min(samples * size**2, CHUNK_PIXELS) * RUNNING / 1e6
    return LEAST_SQUARES + _held(samples, size, WAITING) + running


def _held(images: int, size: int, bytes_a_pixel: int) -> float:
    return images * size**2 * bytes_a_pixel / 1e6


def _gradients(samples: int, size: int) -> float:
    return min(_held(min(samples, GRADIENTS_AT_ONCE), size, GRADIENTS), GRADIENT_BATCH)


def _with_blocks(needed: float, budget: float | None) -> float:
    """With the blocks of the curvature: of no budget, a quarter of all (devices.spare_memory)."""
    needed += GRADIENT_ROWS
    return needed * 4 / 3 if budget is None else needed + budget
