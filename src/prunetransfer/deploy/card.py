"""The model card: README.md of an exported folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
import yaml

from prunetransfer.deploy.pruned import UNKNOWN, Measured, PrunedModel
from prunetransfer.deploy.snippets import READING_SPARSE, using
from prunetransfer.models.packages import PREFIX
from prunetransfer.pruning.masks import achieved_sparsity
from prunetransfer.report.pages import Block, Heading, Points, Table, markdown

FILES = {
    "model.safetensors": "the pruned weights in full, which timm loads",
    "config.json": "what timm builds and how images are prepared",
    "model.pt2": "the program that `torch.export.load` runs",
    "model.onnx": "the program in ONNX",
    "model.sparse.safetensors": "the same weights as bits and the values that stay",
    "masks.safetensors": "one bit for each weight that could be pruned",
    "heads.safetensors": "a linear classifier for each task; the names of its classes are in the metadata",
}
CITATION = """\
@article{iurada2025,
  title = {A Second-Order Perspective on Pruning at Initialization and Knowledge Transfer},
  author = {Iurada and Occhiena and Tommasi},
  year = {2025},
  url = {https://arxiv.org/abs/2509.24066}
}
@software{prunetransfer,
  title = {prunetransfer},
  author = {{prunetransfer contributors}}
}"""


def licence_of(architecture: str, source: str) -> str:
    """The licence of a checkpoint as far as it is known here. source: as of the config's `weights`."""
    if source == "timm":
        import timm

        return timm.models.get_pretrained_cfg(architecture).license or UNKNOWN
    own = source.startswith(PREFIX) and "/" not in source
    return "mit" if own else UNKNOWN


def card(model: PrunedModel, formats: Sequence[str], sizes: Mapping[str, int], opset: int | None = None) -> str:
    """The card as Markdown. sizes: file → its bytes; opset: that of model.onnx."""
    return f"---\n{_front(model, formats)}---\n\n{markdown(_blocks(model, formats, sizes, opset))}"


def _front(model: PrunedModel, formats: Sequence[str]) -> str:
    task = "image-feature-extraction" if model.heads or not model.classifier else "image-classification"
    facts = {"tags": ["pruning", "sparsity"], "license": model.facts.licence, "pipeline_tag": task}
    library = {"library_name": "timm"} if "safetensors" in formats else {}
    return yaml.safe_dump(library | facts, sort_keys=False)


def _blocks(model: PrunedModel, formats: Sequence[str], sizes: Mapping[str, int], opset: int | None) -> Iterator[Block]:
    facts = model.facts
    yield from (Heading(facts.name, 1), facts.pruning)
    if facts.guarantee:
        yield facts.guarantee
    if snippet := using(model, formats):
        yield from (Heading("Use"), f"In this folder, with an image of your own:\n\n```python\n{snippet}```")
    if facts.measured:
        yield from (Heading("Accuracy"), *_accuracy(facts.measured, facts.confidence))
    yield from (Heading("Size"), _weights(model), *_files(model, sizes, opset))
    if "sparse" in formats:
        yield f"The sparse file is made whole by these lines:\n\n```python\n{READING_SPARSE}```"
    if facts.provenance:
        yield from (Heading("Provenance"), Table(("what", "value"), list(facts.provenance.items())))
    yield from (Heading("Limits"), Points(_limits(model)))
    yield from (Heading("Licence"), _licence(facts.licence))
    yield from (Heading("Citation"), f"```bibtex\n{CITATION}\n```")


def _accuracy(measured: Sequence[Measured], confidence: float) -> Iterator[Block]:
    yield (
        "Top-1 accuracy on test images, before pruning (dense) and of this model. Retention is the one over the other, "
        f"with its {confidence:.0%} interval over test images. An unseen task is one whose images neither the mask nor "
        "the recovery saw."
    )
    names = ("task", "unseen", "readout", "images", "dense", "this model", "retention")
    rows = []
    for row in measured:
        accuracies = (f"{row.dense:.4f}", f"{row.accuracy:.4f}", _retention(row))
        rows.append((row.task, "yes" if row.unseen else "no", row.readout, row.images, *accuracies))
    yield Table(names, rows)


def _retention(row: Measured) -> str:
    return "-" if row.retention is None else f"{row.retention:.3f} [{row.low:.3f}, {row.high:.3f}]"


@torch.no_grad()
def _weights(model: PrunedModel) -> str:
    parameters = dict(model.backbone.network.named_parameters())
    total, nonzero = (sum(int(f(p)) for p in parameters.values()) for f in (torch.numel, torch.count_nonzero))
    prunable = sum(keep.size for keep in model.mask.values())
    smaller = ""
    if model.units:
        left = sum(parameter.numel() for parameter in model.smallest.network.parameters())
        smaller = f" Without the channels, hidden units and heads that are gone it has {left:,}."
    return (
        f"The backbone has {total:,} parameters, of which {nonzero:,} are not zero. {prunable:,} of them could be "
        f"pruned, and {achieved_sparsity(model.mask):.2%} of these are pruned.{smaller}"
    )


def _files(model: PrunedModel, sizes: Mapping[str, int], opset: int | None) -> Iterator[Block]:
    dense = sum(tensor.nbytes for tensor in model.tensors().values())
    what = FILES | ({"model.onnx": f"{FILES['model.onnx']}, opset {opset}"} if opset else {})
    rows = [("(the dense model)", f"{dense:,}", "all of its tensors in full")]
    yield Table(("file", "bytes", "what it is"), [*rows, *((name, f"{sizes[name]:,}", what[name]) for name in sizes)])


def _limits(model: PrunedModel) -> Iterator[str]:
    if model.units:
        yield (
            "The programs model.onnx and model.pt2 have lost the channels, hidden units and heads that are gone. What "
            "timm loads has the architecture's full size, with zeros in their place."
        )
    else:
        yield (
            "Sparsity is zeros in tensors of full size. No runtime is faster for it unless it skips zeros, and no file "
            "is smaller but the sparse one."
        )
    if model.facts.measured:
        yield "What pruning costs was measured on the tasks of the table, and on no others."
    else:
        yield "What pruning costs was not measured on any task."
    if model.heads:
        yield "The heads were made for the features of the dense backbone, and were not fitted again after pruning."


def _licence(licence: str) -> str:
    if licence == UNKNOWN:
        return (
            "The licence of the original weights is not known here: their source says it, and it holds for these too."
        )
    return f"The original weights are under the licence `{licence}`, which holds for these too."
