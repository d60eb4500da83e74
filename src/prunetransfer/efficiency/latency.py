"""How long a network takes, beside another one: both measured in turns, so that what slows the machine slows both."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

WARM_UP = 2  # rounds that are not measured: kernels are chosen and memory is taken in them
ROUNDS = 5  # at least, however long one takes


def in_turns(
    first: Callable[[], object],
    second: Callable[[], object],
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> list[tuple[float, float]]:
    """Seconds that two calls took, round by round: first, second, first, second, …

    Rounds go on until `seconds` are over, and there are at least ROUNDS of them, after WARM_UP that do not count.
    """
    for _ in range(WARM_UP):
        first()
        second()
    rounds: list[tuple[float, float]] = []
    begin = end = clock()
    while len(rounds) < ROUNDS or end - begin < seconds:
        start = clock()
        first()
        between = clock()
        second()
        end = clock()
        rounds.append((between - start, end - between))
    return rounds


@torch.inference_mode()
def compared(dense: nn.Module, pruned: nn.Module, inputs: Tensor, seconds: float) -> dict[str, float]:
    """The time of one batch: columns of `summary`. inputs: what both networks are given, where they are."""

    def passing(network: nn.Module) -> Callable[[], None]:
        def once() -> None:
            network(inputs)
            if inputs.is_cuda:  # the call has only queued its kernels
                torch.cuda.synchronize(inputs.device)

        return once

    return summary(in_turns(passing(dense), passing(pruned), seconds))


def summary(rounds: Sequence[tuple[float, float]]) -> dict[str, float]:
    """What rounds of (dense, pruned), in seconds, come to.

    rounds: how many. latency_ms, dense_latency_ms: medians, in milliseconds. speed_up: the median of dense over pruned
    in the same round, with its quartiles, speed_up_low and speed_up_high.
    """
    dense, pruned = np.array(rounds).T
    low, middle, high = np.quantile(dense / pruned, (0.25, 0.5, 0.75))
    return {
        "rounds": len(rounds),
        "latency_ms": 1e3 * float(np.median(pruned)),
        "dense_latency_ms": 1e3 * float(np.median(dense)),
        "speed_up": float(middle),
        "speed_up_low": float(low),
        "speed_up_high": float(high),
    }
