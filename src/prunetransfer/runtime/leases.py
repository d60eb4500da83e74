"""Leases of GPUs: jobs of one user on one machine share its devices without a server that hands them out.

A slot of a device is a file. Who holds its lock holds the slot, and the kernel frees it with the process, however that
dies.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

# Set by the workflow, once for all its jobs: how many of them share a GPU.
JOBS_PER_GPU = "PRUNETRANSFER_JOBS_PER_GPU"
POLL = 1.0  # seconds

_held: list[FileLock] = []  # a lock that nothing refers to is released


def lease(devices: Sequence[str], slots: int = 1, folder: Path | None = None) -> str:
    """One of `devices`, leased until this process ends. Waits, and says so, while none has a free slot.

    slots: jobs that a device takes at a time; slot 0 of every device goes before slot 1 of any. folder: where the locks
    lie, by default one that all studies of this user share.
    """
    folder = folder or _shared_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    places = [(device, folder / f"{device.replace('/', '_')}.{slot}") for slot in range(slots) for device in devices]
    said = False
    while True:
        for device, lock in places:
            if _taken(lock):
                return device
        if not said:
            print(f"waiting for a GPU: {', '.join(devices)} are taken ({slots} a GPU; locks in {folder})", flush=True)
            said = True
        time.sleep(POLL)


def _taken(path: Path) -> bool:
    """Take the lock if it is free."""
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    _held.append(lock)
    return True


def _shared_folder() -> Path:
    """In the temporary folder, as XDG_RUNTIME_DIR goes when its user logs out and leaves a study running.

    An allocation of SLURM has its own: its devices are its own, and may bear the numbers of another's.
    """
    names = ["prunetransfer-gpus", str(os.getuid()), os.environ.get("SLURM_JOB_ID", "")]
    return Path(tempfile.gettempdir()) / "-".join(filter(None, names))
