"""Pre-trained feature extractors φ(x; W): build one, load its weights, list what may be pruned."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import sys
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prunetransfer.models.plain import PRUNABLE_LAYERS, plain
from prunetransfer.runtime.devices import in_batches
from prunetransfer.storage.artifacts import read_metadata, read_tensors

# What begins the names of a weights file's tensors that are no part of the network: those of the classifier that the
# checkpoint was trained with. No layer's name has a slash.
CLASSIFIER = "classifier/"


class Backbone(nn.Module):
    """A network that reads prepared images: uint8 [n, height, width, 3] in, features float32 [n, d] out.

    matrices: names of the parameters that multiply activations, as a trial pass has found them (`trial`); None stands
    for the weights of all convolutions and linear layers.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        exclude: Sequence[str] = (),
        matrices: Collection[str] | None = None,
    ):
        super().__init__()
        self.network = network
        self.exclude = tuple(exclude)
        self.matrices = None if matrices is None else frozenset(matrices)
        self.contiguous = False
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    @property
    def device(self) -> torch.device:
        return self.mean.device

    def lay_out(self, contiguous: bool) -> None:
        """Keep weights and images channels last, or, for networks that cannot read these, contiguous."""
        self.contiguous = contiguous
        layout = torch.contiguous_format if contiguous else torch.channels_last
        for tensor in itertools.chain(self.parameters(), self.buffers()):
            if tensor.dim() == 4:  # three-dimensional convolutions have no such layout
                tensor.data = tensor.data.contiguous(memory_format=layout)

    def inputs(self, images: Tensor) -> Tensor:
        """What the network is given of these images: normalised, [n, 3, h, w]."""
        # The permuted view of [n, h, w, c] already has the channels-last layout that convolutions are fastest on.
        pixels = images.permute(0, 3, 1, 2).to(self.mean.dtype)
        if self.contiguous:
            pixels = pixels.contiguous()
        return torch.addcmul(-self.mean / self.std, pixels, 1 / (255 * self.std))

    def noise(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Images of noise, of a shape as this backbone reads them."""
        return torch.randint(256, shape, generator=generator, dtype=torch.uint8)

    def forward(self, images: Tensor) -> Tensor:
        return self.network(self.inputs(images))

    def prunable(self) -> dict[str, nn.Parameter]:
        """Name → weight that multiplies activations, in forward order of definition; shared weights once.

        Names in `exclude` (shell patterns) are left out. Raises ValueError for a pattern that matches no weight.
        """
        weights = dict(self.network.named_parameters())
        if self.matrices is None:
            layers = {layer.weight for layer in self.network.modules() if isinstance(layer, PRUNABLE_LAYERS)}
            weights = {name: weight for name, weight in weights.items() if weight in layers}
        else:
            weights = {name: weight for name, weight in weights.items() if name in self.matrices}
        for pattern in self.exclude:
            if not any(fnmatch(name, pattern) for name in weights):
                raise ValueError(f"exclude: {pattern!r} matches none of the prunable weights {', '.join(weights)}")
        return {name: w for name, w in weights.items() if not any(fnmatch(name, p) for p in self.exclude)}

    @torch.no_grad()
    def prune(self, mask: Mapping[str, Tensor], share: float = 1.0) -> None:
        """Set the weights that the mask does not keep to zero.

        mask: name → bool tensor of the weight's shape, on its device. share: how much of each such weight is taken
        away, where that is not all. Raises ValueError unless the mask covers exactly the prunable weights.
        """
        weights = self.prunable()
        if weights.keys() != mask.keys():
            names = ", ".join(sorted(weights.keys() ^ mask.keys()))
            raise ValueError(f"mask and backbone differ in what is prunable: {names}")
        for name, weight in weights.items():
            weight.copy_(weight.where(mask[name], (1 - share) * weight))


def build_network(architecture: str, options: Mapping[str, Any], num_classes: int = 0) -> nn.Module:
    """A randomly initialised network; with `num_classes` 0 it ends in its pooled features.

    architecture: a timm name, `torchvision:NAME`, `package.module:factory`, or `path/to/file.py:factory`. A factory of
    your own is called with `options` and returns a module that maps images [n, 3, h, w] to features [n, d]; it is given
    `num_classes` only where that is not 0. Raises ValueError if there is no such architecture.
    """
    if architecture.startswith("torchvision:"):
        return _from_torchvision(architecture, options, num_classes)
    if ":" not in architecture:
        import timm

        try:
            return timm.create_model(architecture, num_classes=num_classes, **options)
        except (RuntimeError, TypeError) as error:
            raise ValueError(f"architecture {architecture!r}: {error}") from None
    module, _, name = architecture.rpartition(":")
    try:
        factory = getattr(_import_file(module) if module.endswith(".py") else importlib.import_module(module), name)
    except (ImportError, AttributeError, FileNotFoundError) as error:
        raise ValueError(f"architecture {architecture!r}: {error}") from None
    return _taken(factory(**options, **({"num_classes": num_classes} if num_classes else {})), architecture)


def _taken(network: Any, architecture: str) -> nn.Module:
    """What a factory has made, its tensors in single precision, as images are. Raises ValueError unless it is a module
    of known shapes."""
    if not isinstance(network, nn.Module):
        kind = type(network).__name__
        raise ValueError(f"architecture {architecture!r} makes a {kind}; what is taken is a torch.nn.Module")
    lazy = [name for name, tensor in network.named_parameters() if nn.parameter.is_lazy(tensor)]
    if lazy:
        raise ValueError(
            f"architecture {architecture!r}: the shape of {', '.join(lazy)} is known only after a forward pass (lazy "
            "modules); run one in the factory, network(torch.zeros(1, 3, height, width)), before it returns the network"
        )
    return network.float()


def build_backbone(
    settings: Mapping[str, Any],
    contiguous: bool = False,
    matrices: Collection[str] | None = None,
    folded: bool = True,
) -> Backbone:
    """The backbone of one config entry (keys architecture, options, mean, std, exclude), randomly initialised.

    folded: its weights are plain parameters (`prunetransfer.models.plain`); a network to be trained from scratch stays
    as the architecture has it.
    """
    network = build_network(settings["architecture"], settings["options"])
    backbone = Backbone(
        plain(network) if folded else network, settings["mean"], settings["std"], settings["exclude"], matrices
    )
    backbone.lay_out(contiguous)
    return backbone.eval()


def load_backbone(settings: Mapping[str, Any], weights: str | Path, device: torch.device) -> Backbone:
    """The backbone of one config entry with converted weights from `weights`, in evaluation mode on `device`.

    Its layout and what may be pruned are as the trial pass of the weights job has found them.
    """
    trial = read_metadata(weights).get("trial", {})
    matrices = [row["parameter"] for row in trial["parameters"] if row["matrix"]] if trial else None
    backbone = build_backbone(settings, contiguous=trial.get("contiguous", False), matrices=matrices)
    load_state(backbone, weights)
    return backbone.to(device)


def load_state(backbone: Backbone, weights: str | Path) -> None:
    """Put the tensors of a weights file into the backbone's network, every key matched; its classifier stays out."""
    arrays = read_tensors(weights).items()
    tensors = {name: torch.from_numpy(array) for name, array in arrays if not name.startswith(CLASSIFIER)}
    backbone.network.load_state_dict(tensors, strict=True)


@torch.no_grad()
def extract_features(backbone: Backbone, images: Tensor, batch_size: int | None = None) -> Tensor:
    """Features of all images in evaluation mode, on the backbone's device. uint8 [n, h, w, 3] → float32 [n, d]."""
    backbone.eval()
    features = in_batches(backbone, images, backbone.device, batch_size)
    if features.ndim != 2:
        shape = " × ".join(map(str, features.shape))
        raise ValueError(f"the architecture's output is {shape}; it must be images × features, pooled")
    return features


def _from_torchvision(architecture: str, options: Mapping[str, Any], num_classes: int) -> nn.Module:
    """A classifying network of torchvision. In each of them the last convolution or linear layer is the classifier."""
    from torchvision.models import get_model

    classes = {"num_classes": num_classes} if num_classes else {}
    try:
        network = get_model(architecture.removeprefix("torchvision:"), **classes, **options)
    except (ValueError, TypeError) as error:
        raise ValueError(f"architecture {architecture!r}: {error}") from None
    if not num_classes:
        *_, classifier = (name for name, layer in network.named_modules() if isinstance(layer, PRUNABLE_LAYERS))
        network.set_submodule(classifier, nn.Identity())
        network.pretrained_cfg = {"classifier": classifier}  # where timm says the same of its own networks
    return network


def _import_file(path: str):
    # Under a name of its own: a file called types.py must not take the place of that module.
    spec = importlib.util.spec_from_file_location(f"{__name__}.{Path(path).stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
