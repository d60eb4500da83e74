"""Per-sample gradients of whole architectures, with random weights, against one ordinary backward pass an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm.layers
import torch
from torch import nn
from unit.reference import assert_exact, backbone_of

from prunetransfer.config.extending import read_study
from prunetransfer.models.backbones import build_backbone, build_network

ROOT = Path(__file__).resolve().parents[2]


def squeezenet() -> nn.Module:
    """torchvision's features, pooled: it has no way to leave its classifier out."""
    import torchvision

    return nn.Sequential(torchvision.models.squeezenet1_1().features[:6], nn.AdaptiveAvgPool2d(1), nn.Flatten())


def torchvision_vit() -> nn.Module:
    """Its attention is PyTorch's own."""
    import torchvision

    network = torchvision.models.VisionTransformer(32, 16, 1, 2, 24, 48)
    network.heads = nn.Identity()
    return network


def network_of(architecture: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    settings = {"architecture": architecture, "options": options, "mean": [0.5] * 3, "std": [0.25] * 3, "exclude": []}
    return build_backbone(settings).network


def named_by_studies() -> dict[str, tuple[str, dict[str, Any], int]]:
    """Every architecture of config.yaml and of studies/ once, on smaller images; of a large ViT's equal blocks, two."""
    found = {}
    for path in [ROOT / "config.yaml", *sorted((ROOT / "studies").glob("*.yaml"))]:
        for entry in (read_study(path)["backbones"] if path.exists() else {}).values():
            architecture, options = entry["architecture"].split(".")[0], entry.get("options", {})
            size = entry.get("size", 224) if "img_size" in options else min(entry.get("size", 32), 32)
            if architecture.startswith("vit_base"):
                options = options | {"img_size": size, "depth": 2}
            found[f"{architecture} {options or ''}"] = (architecture, options, size)
    return found


WINDOWS = {"img_size": 56, "depths": (2, 2), "embed_dim": 12, "num_heads": (1, 2)}
VIT = {"img_size": 32, "depth": 1, "embed_dim": 24, "num_heads": 2}
STANDARDISED = {"num_classes": 0, "layers": [1], "channels": [128], "stem_chs": 32}
SMALL = {
    "resnet": ("resnet18", {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}, 32),
    "resnext": (
        "resnext50_32x4d",
        {"layers": [1, 1, 1, 1], "channels": [8, 16, 16, 16], "base_width": 16, "cardinality": 4},
        32,
    ),
    "squeeze and excitation": ("seresnet18", {"layers": [1, 1, 1, 1], "channels": [16, 16, 32, 32]}, 32),
    "mobilenetv2": ("mobilenetv2_035", {}, 32),
    "mobilenetv2, same": ("mobilenetv2_035", {"pad_type": "same"}, 33),
    "efficientnet": ("test_efficientnet", {}, 32),
    "efficientnet, tf": ("tf_efficientnet_b0", {}, 33),
    "convnext": ("test_convnext", {}, 32),
    "regnetx": ("regnetx_002", {}, 32),
    "densenet": ("densenet121", {"growth_rate": 8, "block_config": [2, 2]}, 32),
    "vit": ("vit_tiny_patch16_224", VIT, 32),
    "deit": ("deit_tiny_distilled_patch16_224", VIT, 32),
    "dinov2": ("vit_small_patch14_dinov2", VIT | {"img_size": 28}, 28),
    "dinov2, swiglu": ("vit_giant_patch14_dinov2", VIT | {"img_size": 28}, 28),
    "beit": ("beit_base_patch16_224", VIT, 32),
    "swin": ("swin_tiny_patch4_window7_224", WINDOWS, 56),
    "mlp-mixer": (
        "timm.models.mlp_mixer:MlpMixer",
        {"num_classes": 0, "img_size": 32, "num_blocks": 1, "embed_dim": 24},
        32,
    ),
    "squeezenet": (f"{__name__}:squeezenet", {}, 32),
    "attention of PyTorch": (f"{__name__}:torchvision_vit", {}, 32),
    "standardised weights": ("timm.models.resnetv2:ResNetV2", STANDARDISED, 16),
}
FAMILIES = SMALL | named_by_studies()


@pytest.mark.parametrize("name", FAMILIES)
def test_architecture(name):
    architecture, options, size = FAMILIES[name]
    assert_exact(network_of(architecture, **options), size)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", ["vit", "swin"])
def test_fused_and_plain_attention(name, fused):
    before = timm.layers.use_fused_attn()
    timm.layers.set_fused_attn(fused)
    try:
        test_architecture(name)
    finally:
        timm.layers.set_fused_attn(bool(before))


def test_weights_that_are_standardised_in_the_forward_pass_are_taken_image_by_image():
    network = build_network("timm.models.resnetv2:ResNetV2", STANDARDISED)  # as it is, not folded
    assert_exact(network, 16, slow=list(backbone_of(network).prunable()))


def test_a_network_that_reads_positions_alone_is_taken_image_by_image():
    network = network_of("swinv2_tiny_window8_256", img_size=64, depths=(1,), embed_dim=12, num_heads=(2,))
    assert_exact(network, 64, slow=[f"layers.0.blocks.0.attn.cpb_mlp.{k}.weight" for k in (0, 2)])
