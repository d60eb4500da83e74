"""Files of the user's own that a backbone is made from: their digests become settings, so that an edit is a change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prunetransfer.config.factories import factory_digest, is_factory
from prunetransfer.config.keywords import MADE
from prunetransfer.config.plugins import pinned_plugins
from prunetransfer.config.validation import ConfigError
from prunetransfer.stages.code_digest import file_digest


def pin(config: dict[str, Any], root: Path) -> None:
    """Give each backbone of a valid config the SHA-256 of its checkpoint and a digest of its factory's source (`code`).

    Its plugins become those of `pinned_plugins`.

    A checkpoint that is no file on this machine, or whose SHA-256 the config names, keeps what it has. Reads each
    checkpoint whole, a second for some gigabytes at most where the processor knows SHA-256. root: where paths start.
    Raises ConfigError for a module of the user's that is no Python.
    """
    for entry in config["backbones"].values():
        weights, architecture = entry["weights"], entry["architecture"]
        if weights["sha256"] is None and weights["source"] not in MADE and (root / weights["source"]).is_file():
            weights["sha256"] = file_digest(root / weights["source"])
        if is_factory(architecture):
            code = _readable(architecture, factory_digest, architecture, root)
            entry |= {"code": code} if code else {}
    config["plugins"] = _readable("plugins", pinned_plugins, config["plugins"], root)


def _readable(what: str, digest: Callable, *arguments: Any) -> Any:
    try:
        return digest(*arguments)
    except SyntaxError as error:  # in what the file imports
        raise ConfigError(f"{what}: {error.filename}, line {error.lineno}: {error.msg}") from None
