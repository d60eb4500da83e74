"""The picture of docs/datasets.md and its numbers: what the families of `kind: procedural` look like, and cost.

python benchmarks/procedural.py [--size PIXELS] [--figure FILE]: a Markdown line a family, images a second of one core.
"""

from __future__ import annotations

import argparse
import time

from PIL import Image, ImageDraw, ImageFont

from prunetransfer.datasets.kinds.procedural import draw
from prunetransfer.datasets.procedural import FAMILIES

COLUMNS, GAP, MARGIN = 6, 4, 84  # images a family; pixels
SEED = 1
TIMED = 40  # images a family


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--figure")
    arguments = parser.parse_args()
    if arguments.figure:
        panel(arguments.size).save(arguments.figure, optimize=True)
        return
    seconds = {name: cost(name, arguments.size) for name in sorted(FAMILIES)}
    print(f"| family | images a second, {arguments.size} pixels |\n| --- | --- |")
    for name, of_one in {**seconds, "all": sum(seconds.values()) / len(seconds)}.items():
        print(f"| {name} | {1 / of_one:.0f} |")


def panel(size: int) -> Image.Image:
    """The first images of each family, a row a family."""
    step = size + GAP
    sheet = Image.new("RGB", (MARGIN + COLUMNS * step, len(FAMILIES) * step), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for row, name in enumerate(sorted(FAMILIES)):
        pen.text((GAP, row * step + size / 2), name.replace("_", " "), fill="black", font=font, anchor="lm")
        for column in range(COLUMNS):
            image = Image.fromarray(draw(name, "train", column, size, SEED))
            sheet.paste(image, (MARGIN + column * step, row * step))
    return sheet


def cost(name: str, size: int) -> float:
    """Seconds of processor an image takes, on average."""
    start = time.process_time()
    for k in range(TIMED):
        draw(name, "train", k, size, SEED)
    return (time.process_time() - start) / TIMED


if __name__ == "__main__":
    main()
