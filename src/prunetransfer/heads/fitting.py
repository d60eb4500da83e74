"""The kinds of head by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from prunetransfer.heads import Head
from prunetransfer.heads.logistic import fit_logistic
from prunetransfer.heads.ridge import fit_ridge

KINDS = {"ridge": fit_ridge, "logistic": fit_logistic}


def fit_head(features: Tensor, labels: Tensor, classes: int, settings: Mapping[str, Any]) -> Head:
    """The head that the config asks for. features [n, d], labels int64 [n], settings: kind, and alpha or `auto`."""
    alpha = settings["alpha"]
    return KINDS[settings["kind"]](features, labels, classes, None if alpha == "auto" else alpha)
