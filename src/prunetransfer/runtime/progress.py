"""How far a long loop over images has come: a bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

LINE = "{desc}: {n_fmt}/{total_fmt} images, {rate_fmt}, {remaining} left"
SECONDS_BETWEEN_LINES = 30.0

Batch = TypeVar("Batch", bound=Sized)


def progress(batches: Iterable[Batch], images: int, what: str) -> Iterator[Batch]:
    """The batches, with throughput and the time that is left on standard error (terminal) or output (log)."""
    start = told = time.monotonic()
    done = 0
    with tqdm(total=images, desc=what, unit=" images", disable=None) as bar:
        for batch in batches:
            yield batch
            done += len(batch)
            bar.update(len(batch))
            now = time.monotonic()
            if bar.disable and (now - told >= SECONDS_BETWEEN_LINES or done == images):
                told = now
                meter = tqdm.format_meter(done, images, now - start, prefix=what, unit=" images", bar_format=LINE)
                print(meter, flush=True)
