"""Where a checkpoint comes from: the words that `weights.source` of the config takes."""

from __future__ import annotations

import re
from pathlib import Path

from prunetransfer.models.download import download
from prunetransfer.models.packages import PREFIX, package_file
from prunetransfer.stages.code_digest import file_digest
from prunetransfer.storage.artifacts import ArtifactError


def fetch(source: str, architecture: str, downloads: Path, sha256: str | None = None) -> Path:
    """The local file of a checkpoint, its digest verified where one is known.

    source: `package:FILE` (shipped with this package) or `package:MODULE/FILE` (with an installed one), `https://…`,
    `timm` (what timm publishes for `architecture`), `torchvision:ENUM` (a member of one of torchvision's weights
    enums), or a path. `downloads` keeps what comes from `https://` and torchvision, Hugging Face's own cache what
    comes from timm.
    Raises ArtifactError if there is no such file or its digest is not `sha256`.
    """
    if source.startswith("https://"):
        return download(source, downloads, sha256)
    if source.startswith("torchvision:"):
        return _from_torchvision(source, downloads, sha256)
    if source == "timm":
        path = _from_timm(architecture)
    elif source.startswith(PREFIX):
        path = _from_package(source)
    else:
        path = Path(source)
    if not path.is_file():
        raise ArtifactError(f"{source}: there is no file {path}")
    if sha256 and (found := file_digest(path)) != sha256:
        raise ArtifactError(f"{path}: its SHA-256 is {found}, the config expects {sha256}")
    return path


def _from_package(source: str) -> Path:
    try:
        return package_file(source)
    except (ValueError, OSError) as error:
        raise ArtifactError(f"{source}: {error}") from None


def _from_torchvision(source: str, downloads: Path, sha256: str | None) -> Path:
    from torchvision.models import get_weight

    try:
        url = get_weight(source.removeprefix("torchvision:")).url
    except (ValueError, AttributeError, KeyError) as error:
        raise ArtifactError(f"{source}: {error}") from None
    # torchvision ends its file names with the first digits of their SHA-256.
    named = re.search(r"-([0-9a-f]{8,})\.", url.rpartition("/")[2])
    return download(url, downloads, sha256 or (named and named[1]))


def _from_timm(architecture: str) -> Path:
    import timm
    from huggingface_hub import hf_hub_download

    try:
        published = None if ":" in architecture else timm.models.get_pretrained_cfg(architecture)
    except RuntimeError as error:
        raise ArtifactError(f"architecture {architecture!r}: {error}") from None
    if published is None or not published.hf_hub_id:
        raise ArtifactError(f"architecture {architecture!r}: timm publishes no pre-trained weights for it")
    try:
        return Path(hf_hub_download(published.hf_hub_id, published.hf_hub_filename or "model.safetensors"))
    except OSError as error:  # every error of the hub is one; the first line says what happened
        raise ArtifactError(f"{published.hf_hub_id}: {str(error).strip().splitlines()[0]}") from None
