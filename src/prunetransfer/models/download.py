"""Downloads: resumed after a cut, tried again, verified, shared between jobs and studies."""

from __future__ import annotations

import hashlib
import shutil
import time
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from filelock import FileLock

from prunetransfer import __version__
from prunetransfer.stages.code_digest import file_digest
from prunetransfer.storage.artifacts import ArtifactError

ATTEMPTS = 6
TIMEOUT = 60
PASSING = (408, 425, 429)  # answers below 500 after which another attempt may succeed


def download(url: str, folder: Path, sha256: str | None, wait: float = 1.0) -> Path:
    """The file of `url` in `folder`, downloaded unless it is there with the right digest; in place only when verified.

    sha256: the expected digest or its first digits. What a broken connection, or an interrupted job, left is continued;
    the pause before the second attempt is `wait` seconds and doubles from there. Jobs that want one file take turns.
    Raises ArtifactError if the download fails or the digest is another, which leaves nothing behind, or if none is
    expected: then the file's own is named, for the config, and the file waits for it.
    """
    name = f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{Path(urlsplit(url).path).name}"
    path, partial = folder / name, folder / f".{name}.partial"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{name}.lock"):
        for whole in (path, partial):
            if whole.exists() and sha256 and file_digest(whole).startswith(sha256):
                return whole.replace(path)
        _fetch(url, partial, wait)
        found = file_digest(partial)
        if sha256 is None:
            raise ArtifactError(f"{url}: the file's SHA-256 is {found}; put it into the config if you trust it")
        if not found.startswith(sha256):
            partial.unlink()
            raise ArtifactError(f"{url}: the file's SHA-256 is {found}, expected is {sha256}")
        return partial.replace(path)


def _fetch(url: str, partial: Path, wait: float) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _continue(url, partial)
        except (OSError, HTTPException) as error:
            code = error.code if isinstance(error, HTTPError) else None
            if code == 416:  # what is there is no beginning of this file
                partial.unlink(missing_ok=True)
            elif attempt == ATTEMPTS or (code and code < 500 and code not in PASSING):
                raise ArtifactError(f"{url}: download failed ({error})") from None
            print(f"{url}: {error}; attempt {attempt} of {ATTEMPTS}", flush=True)
        time.sleep(wait * 2 ** (attempt - 1))
    raise ArtifactError(f"{url}: download failed (its size changes)")


def _continue(url: str, partial: Path) -> None:
    """Fetch what `partial` lacks. Raises ConnectionError if the connection ends before the file does."""
    there = partial.stat().st_size if partial.exists() else 0
    headers = {"User-Agent": f"prunetransfer/{__version__}"} | ({"Range": f"bytes={there}-"} if there else {})
    with urlopen(Request(url, headers=headers), timeout=TIMEOUT) as answer:
        # A server that knows no ranges sends the whole file.
        start = there if answer.status == 206 else 0
        with open(partial, "ab" if start else "wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
        size, length = partial.stat().st_size, answer.headers["Content-Length"]
    if length is not None and size < start + int(length):
        raise ConnectionError(f"cut after {size} of {start + int(length)} bytes")
