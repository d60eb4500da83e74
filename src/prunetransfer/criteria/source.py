"""What a score is given: the dense backbone, and what it may see of the source."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from prunetransfer.curvature.grad_outputs import grad_outputs
from prunetransfer.curvature.gradients import LayerGradient, layer_gradients
from prunetransfer.datasets.splits import Split, draw_images
from prunetransfer.heads import Head
from prunetransfer.models.backbones import Backbone

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
