"""Where Snakemake, PyTorch, Hugging Face and Matplotlib keep their caches when the home folder cannot be written.

Standard library only.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

VARIABLE = "XDG_CACHE_HOME"


def settle_caches() -> str | None:
    """Lead this process and its children to caches in the working folder, if their usual place cannot be written.

    Returns the line that says so, or None where all is well.
    """
    usual = os.environ.get(VARIABLE) or os.path.expanduser("~/.cache")
    if _writable(usual):
        return None
    own = Path(".snakemake/caches").absolute()
    os.environ[VARIABLE] = str(own)
    os.environ.setdefault("MPLCONFIGDIR", str(own / "matplotlib"))
    return f"{usual} cannot be written, so caches lie in {own}; {VARIABLE} names another folder"


def _writable(folder: str) -> bool:
    if not os.path.isabs(folder):  # nobody knows this user's home
        return False
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
