"""The config schema, a folder in which the valid config of configs.py finds its files, a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from prunetransfer.config.validation import load_schema


@pytest.fixture(scope="session")
def schema(repository: Path) -> dict:
    return load_schema(repository / "workflow/schemas/config.schema.json")


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights and images that VALID names."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "net.pt").touch()
    (folder / "data/mine").mkdir(parents=True)
    return folder


@pytest.fixture
def state():
    """A checkpoint of ConvNet: name → tensor."""
    from unit.networks import backbone_of, state_of

    return {name: tensor.contiguous() for name, tensor in state_of(backbone_of("conv")).items()}
