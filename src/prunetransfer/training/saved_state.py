"""What a training keeps on disk, so that after a crash it goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import time
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from prunetransfer.storage.artifacts import ArtifactError, write_atomically

SAVE_EVERY = 180.0  # seconds


class SavedState:
    """A file beside a job's `output`, written every SAVE_EVERY seconds and read again by the same job only.

    The same job: equal `settings` (anything JSON can hold), the same PyTorch, and inputs of the same paths, sizes and
    times.
    """

    def __init__(self, output: str | Path, settings: Mapping[str, Any], inputs: Iterable[str]):
        self.path = Path(output).with_suffix(".state")
        files = [(path, (stat := os.stat(path)).st_size, stat.st_mtime_ns) for path in inputs]
        job = json.dumps([settings, torch.__version__, files], sort_keys=True)
        self.key = hashlib.sha256(job.encode()).hexdigest()
        self.saved = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The state that this job saved last, on the CPU; None if there is none."""
        if not self.path.exists():
            return None
        try:
            with zipfile.ZipFile(self.path) as archive:  # PyTorch does not look at the checksums that it writes
                if damaged := archive.testzip():
                    raise ValueError(f"{damaged} is damaged")
            kept = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file makes the readers raise almost anything
            print(f"{self.path}: not a readable state, so everything is done anew ({error})", flush=True)
            return None
        return kept["state"] if kept["key"] == self.key else None

    def due(self) -> bool:
        return time.monotonic() - self.saved >= SAVE_EVERY

    def save(self, state: Mapping[str, Any]) -> None:
        """Put `state` (tensors, numbers, text, in lists and dicts) in the place of the state saved before."""
        kept = {"key": self.key, "state": dict(state)}
        try:
            write_atomically(self.path, lambda partial: torch.save(kept, partial))
        except RuntimeError as error:  # what PyTorch makes of a full disk
            raise ArtifactError(f"{self.path}: cannot be written; is the disk full? ({error})") from None
        self.saved = time.monotonic()

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
