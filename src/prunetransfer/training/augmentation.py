"""Random changes of images, computed on the device; what is random is drawn on the CPU, so no device changes it."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

# Luma Y, and the two differences of colour I and Q, of red, green and blue (the YIQ space of NTSC).
YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


def shift_and_flip(images: Tensor, shift: int, generator: torch.Generator) -> Tensor:
    """Each image flipped with probability ½ and moved by up to `shift` pixels (mirrored edges). uint8 [n, h, w, 3]."""
    n, height, width, _ = images.shape
    dy, dx = torch.randint(-shift, shift + 1, (2, n, 1), generator=generator).to(images.device)
    flip = torch.rand(n, 1, generator=generator).to(images.device) < 0.5
    rows = _reflect(torch.arange(height, device=images.device) + dy, height)
    columns = _reflect(torch.arange(width, device=images.device) + dx, width)
    columns = torch.where(flip, width - 1 - columns, columns)
    return images[torch.arange(n, device=images.device)[:, None, None], rows[:, :, None], columns[:, None, :]]


def crop_and_flip(
    images: Tensor, least: float, generator: torch.Generator, most: float = 1.0, size: int | None = None
) -> Tensor:
    """Each image flipped with probability ½, and a random part of it resized to the whole (bilinear).

    images: uint8 [n, h, w, 3] on any device; returns float32 of the same range, [n, size, size, 3], or of the images'
    own size. The part covers a uniform share of the area from `least` to `most`, its aspect ratio is log-uniform in ¾
    to 4⁄3 as far as it fits (Szegedy et al. 2015).
    """
    n, h, w, _ = images.shape
    area, ratio, flip, y, x = torch.rand(5, n, generator=generator)
    area, ratio = least + (most - least) * area, (4 / 3) ** (2 * ratio - 1)
    height, width = (area / ratio).sqrt().clamp(max=1), (area * ratio).sqrt().clamp(max=1)
    # Rows of the affine map from places in the result to places in the image, both in [-1, 1].
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = torch.where(flip < 0.5, -width, width), (2 * x - 1) * (1 - width)
    theta[:, 1, 1], theta[:, 1, 2] = height, (2 * y - 1) * (1 - height)
    pixels = images.permute(0, 3, 1, 2).float()
    grid = F.affine_grid(theta.to(images.device), [n, 3, size or h, size or w], align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode="border", align_corners=False).permute(0, 2, 3, 1)


def jitter_colours(images: Tensor, generator: torch.Generator, jitter: float = 0.8, grey: float = 0.2) -> Tensor:
    """Colours changed at random with probability `jitter`, and taken away with probability `grey`, image by image.

    images: float [n, h, w, 3] in [0, 255]; returns the same. Brightness, contrast and saturation are multiplied by
    uniform factors in 0.6 to 1.4 and hues turned by up to 36°, as in MoCo v2 (Chen et al. 2020), in this order and in
    one affine map of colours: the hue is turned in the YIQ space.
    """
    n = len(images)
    brightness, contrast, saturation = 0.6 + 0.8 * torch.rand(3, n, generator=generator)
    angle = math.radians(36) * (2 * torch.rand(n, generator=generator) - 1)
    changed, greyed = torch.rand(2, n, generator=generator)
    brightness, contrast, saturation = (
        torch.where(changed < jitter, factor, 1.0) for factor in (brightness, contrast, saturation)
    )
    angle = torch.where(changed < jitter, angle, 0.0)
    saturation = torch.where(greyed < grey, 0.0, saturation)
    turn = torch.zeros(n, 3, 3)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = saturation * angle.cos()
    turn[:, 1, 2], turn[:, 2, 1] = -saturation * angle.sin(), saturation * angle.sin()
    colours = (YIQ.inverse() @ turn @ YIQ).to(images.device)
    brightness, contrast = (factor.view(n, 1, 1).to(images.device) for factor in (brightness, contrast))
    pixels = brightness * images.flatten(1, 2)
    mean = (pixels.mean(1, keepdim=True) @ YIQ[0].to(images.device)).unsqueeze(2)  # of the grey image
    pixels = (contrast * pixels + (1 - contrast) * mean) @ colours.transpose(1, 2)
    return pixels.clamp_(0, 255).view(images.shape)


def random_view(images: Tensor, least: float, most: float, size: int, generator: torch.Generator) -> Tensor:
    """What self-supervision shows of images: a flipped crop of other colours, `size` pixels wide.

    The augmentation of MoCo v2 without its blur, which is left out for small images (Chen et al. 2020, SimCLR, B.9).
    """
    return jitter_colours(crop_and_flip(images, least, generator, most, size), generator)


def _reflect(index: Tensor, size: int) -> Tensor:
    return (size - 1) - ((size - 1) - index.abs()).abs()
