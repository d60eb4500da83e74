"""How the published scores are computed in tests, and compared with slow float64 references of themselves."""

from __future__ import annotations

from torch import Tensor
from unit.networks import BACKBONES, SIZE, backbone_of, head_of, images_of
from unit.test_recoveries import mixed

from prunetransfer.criteria.source import Source
from prunetransfer.datasets.splits import Split
from prunetransfer.models.backbones import Backbone
from prunetransfer.settings.registry import find

Tensors = dict[str, Tensor]

IMAGES = images_of(7)
NETWORKS = [*BACKBONES, "mixed"]
SETTINGS = {
    "random": {},
    "synflow": {"rounds": 4},
    "snip": {"loss": "squared", "samples": 7},
    "grasp": {"loss": "squared", "samples": 7},
    "wanda": {"samples": 7},
    "sparsegpt": {"sparsity": 0.5, "samples": 7, "positions": 1000},
}


def network_of(kind: str) -> Backbone:
    return mixed() if kind == "mixed" else backbone_of(kind)


def computed(name: str, backbone: Backbone, images: Split = IMAGES, seed: int = 0, **settings: object) -> Tensors:
    """A score, given what it says that it sees and no more."""
    entry = find("scores", name)
    head = head_of(backbone) if entry.needs["sees"] == "labels" else None
    source = Source(backbone, head, images if entry.needs["sees"] else None, seed, (3, SIZE, SIZE))
    return entry.function(source, **SETTINGS[name] | settings)


def assert_same(found: Tensors, expected: Tensors, tolerance: float = 1e-9) -> None:
    """Equal up to `tolerance` of each layer's largest number."""
    assert list(found) == list(expected)
    for name, values in expected.items():
        error = (found[name].double() - values.double()).abs().max()
        assert error <= tolerance * values.abs().max(), f"{name}: {error}"


def places(values: list[float]) -> list[float]:
    """(k + ½)/n for the number with k lower or earlier equal ones among n, pair by pair."""
    below = [sum(y < x or (y == x and j < i) for j, y in enumerate(values)) for i, x in enumerate(values)]
    return [(k + 0.5) / len(values) for k in below]
