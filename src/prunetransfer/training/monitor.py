"""How good the features of a network in training are, without any label of the tasks that it is meant for."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from prunetransfer.datasets.splits import Split, draw_images
from prunetransfer.heads.knn import nearest_neighbours
from prunetransfer.heads.ridge import fit_ridge
from prunetransfer.models.backbones import Backbone, extract_features

NEIGHBOURS = 20
# Train images that vote and that the ridge head is fitted on, for each image that is held out.
BANK = 4
# A spread of features below this is taken for none: networks that learn have 0.1 to 1.
COLLAPSED = 0.01


class Monitor:
    """Reads k-NN and ridge accuracy of a backbone on images that it was not trained on."""

    def __init__(self, shown: Split, apart: Split, seed: int):
        """shown: the images that the backbone is trained on; apart: those that it is not."""
        self.apart = apart
        self.bank, _ = draw_images(shown, BANK * len(apart.labels), "balanced", seed)

    def __call__(self, backbone: Backbone) -> dict[str, float]:
        """`spread`, `knn_top1` and `ridge_top1` of the features in evaluation mode.

        Raises FloatingPointError where the features have collapsed: they are the same for all images.
        """
        with torch.no_grad():
            bank, apart = (extract_features(backbone, split.images) for split in (self.bank, self.apart))
        spread = spread_of(apart)
        if not spread > COLLAPSED:
            raise FloatingPointError(
                f"pre-training collapsed: the features of all images are alike (spread {spread:.2g})"
            )
        labels, expected = self.bank.labels.to(bank.device), self.apart.labels.to(bank.device)
        classes = len(self.apart.classes)
        votes = nearest_neighbours(apart, bank, labels, classes, min(NEIGHBOURS, len(labels)))
        outputs = fit_ridge(bank, labels, classes)(apart)
        return {"spread": spread, "knn_top1": _top1(votes, expected), "ridge_top1": _top1(outputs, expected)}


def spread_of(features: Tensor) -> float:
    """The mean over dimensions of the standard deviation of normalised features [n, d], times √d.

    0 where all features point the same way, 1 where they point anywhere alike (Chen & He 2021, arXiv 2011.10566).
    """
    return (F.normalize(features, dim=1).std(0).mean() * features.shape[1] ** 0.5).item()


def _top1(outputs: Tensor, labels: Tensor) -> float:
    return (outputs.argmax(1) == labels).float().mean().item()
