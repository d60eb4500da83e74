"""What a score is given: the dense backbone, and what it may see of the source."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from prunetransfer.curvature.grad_outputs import grad_outputs
from prunetransfer.curvature.gradients import LayerGradient, layer_gradients
from prunetransfer.datasets.splits import Split, draw_images, read_split
from prunetransfer.heads import Head, read_head
from prunetransfer.models.backbones import Backbone, load_backbone

Scores = dict[str, Tensor]


@dataclass(frozen=True)
class Source:
    """The dense backbone, which a score leaves as it is, with the head and the train images of the source.

    head: None to a score that sees no labels; train: None to one that sees nothing. beside: images of other datasets,
    for a score that sees no labels. shape: of an image as the backbone's network is given it. record: what the score
    says of itself, anything JSON can hold, for its file.
    """

    backbone: Backbone
    head: Head | None = None
    train: Split | None = None
    seed: int = 0
    shape: Sequence[int] = (3, 224, 224)
    beside: Sequence[Split] = ()
    record: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(
        cls, network: Mapping[str, Any], size: int, files: Mapping[str, Any], seed: int, device: torch.device
    ) -> Source:
        """That of a study's files: `weights`, and where the score sees them `head`, `train` and the list `beside`.

        network: the backbone's entry of the config; size: of its images, in pixels. Raises ArtifactError for a file
        that does not hold what its name says.
        """
        return cls(
            load_backbone(network, files["weights"], device),
            read_head(files["head"], device) if files.get("head") else None,
            read_split(files["train"]) if files.get("train") else None,
            seed,
            (3, size, size),
            [read_split(file) for file in files.get("beside", [])],
        )

    def weights(self) -> dict[str, Tensor]:
        """Name → prunable weight, without gradients."""
        return {name: weight.detach() for name, weight in self.backbone.prunable().items()}

    def draw(self, samples: int, sampling: str = "uniform") -> Split:
        """At most `samples` train images, and as many of each dataset beside them, drawn with the seed by `sampling`;
        the record says how."""
        drawn, record = draw_images(self.train, samples, sampling, self.seed, self.beside)
        self.record.update(record)
        return drawn

    def gradients(
        self,
        drawn: Split,
        loss: str,
        matrix: str,
        draws: int | None,
        names: Collection[str] | None = None,
        head: Head | None = None,
    ) -> Iterator[dict[str, LayerGradient]]:
        """The per-sample gradients on `drawn` that make up a matrix of `grad_outputs`; the same ones at each call.

        head: another than the source's own. names: as of `layer_gradients`.
        """
        vectors = grad_outputs(matrix, loss, draws, self.seed)
        return layer_gradients(self.backbone, head or self.head, drawn.images, drawn.labels, vectors, names)
