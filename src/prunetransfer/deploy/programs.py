"""The formats `torch-export` and `onnx`: the network as a program, which runs without its Python code.

Both read images float32 [batch, 3, size, size], normalised, of any number, and give features [batch, d]; after them,
where the model has a classifier, its outputs [batch, classes].
"""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn

from prunetransfer.deploy.pruned import PrunedModel, check_alike

EXTRA = ("onnx", "onnxscript", "onnxruntime")
# How far features may be apart, relative to the norm: programs add up in another order than channels-last layers.
TOLERANCE = 1e-4


class _Answering(nn.Module):
    """Features and the classifier's outputs of images."""

    def __init__(self, network: nn.Module, weight: Tensor, bias: Tensor):
        super().__init__()
        self.network = network
        self.classifier = nn.Linear(*weight.shape)
        self.classifier.load_state_dict({"weight": weight.T, "bias": bias})

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.network(images)
        return features, self.classifier(features)


def require_onnx() -> None:
    """Raise ValueError, which says how to install it, unless all that writes and checks ONNX is installed."""
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"format onnx needs {', '.join(missing)}: pip install 'prunetransfer[export]'")


def traced(model: PrunedModel) -> torch.export.ExportedProgram:
    """The smallest network, classifier included, as a program. Raises ValueError if PyTorch cannot make one of it."""
    backbone = copy.deepcopy(model.smallest)
    backbone.lay_out(contiguous=True)
    network = backbone.network
    if model.classifier:
        network = _Answering(network, model.classifier.weight, model.classifier.bias)
    network.eval().requires_grad_(False)
    batch = torch.export.Dim("batch", min=1)
    try:
        program = torch.export.export(network, (model.inputs,), dynamic_shapes=({0: batch},))
    except Exception as error:  # whatever a network's own code does to the tracer
        raise ValueError(f"PyTorch cannot export this network: {_first_line(error)}") from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # files of the machine that wrote it
    return program


def write_torch_export(folder: Path, model: PrunedModel, program: torch.export.ExportedProgram) -> None:
    """Write `model.pt2` and check it at two batch sizes. Raises ValueError if its features are others."""
    path = folder / "model.pt2"
    torch.export.save(program, path)
    found = torch.export.load(path).module()
    for indices in _batches(model):
        with torch.no_grad():
            outputs = found(model.inputs[indices])
        features = outputs[0] if model.classifier else outputs
        check_alike(model, features, indices, "model.pt2", TOLERANCE)


def write_onnx(folder: Path, model: PrunedModel, program: torch.export.ExportedProgram) -> int:
    """Write `model.onnx`, one file; check it with onnxruntime at two batch sizes; return its opset.

    Raises ValueError if the network has no equal in ONNX or its features are others.
    """
    import onnx
    import onnxruntime

    path = folder / "model.onnx"
    names = {"input_names": ["images"], "output_names": ["features", "outputs"][: 1 + bool(model.classifier)]}
    try:
        made = torch.onnx.export(program, (model.inputs,), dynamo=True, verbose=False, **names)
        made.save(path, external_data=False)
        onnx.checker.check_model(path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # the exporter, the checker and the runtime each have errors of their own
        raise ValueError(f"this network has no equal in ONNX: {_first_line(error)}") from error
    for indices in _batches(model):
        features, *outputs = map(torch.from_numpy, session.run(None, {"images": model.inputs[indices].numpy()}))
        check_alike(model, features, indices, "model.onnx", TOLERANCE)
        expected = model.answers(model.features[indices])
        if outputs and not outputs[0].argmax(1).equal(expected["the classifier"]):
            raise ValueError("model.onnx: its classifier answers otherwise")
    opsets = {opset.domain: opset.version for opset in onnx.load(path).opset_import}
    return opsets[""]


def _batches(model: PrunedModel) -> tuple[slice, slice]:
    """One image, and all."""
    return slice(0, 1), slice(0, len(model.images))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
