"""How much time it saves to take out whole units on a device, beside the multiply-adds that go.

    python benchmarks/latency.py --device cuda --write docs/benchmarks.md

Networks of timm with random weights, which cost the same; masks by magnitude. Dense and pruned are measured in turns,
as the stage `efficiency` does.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import timm
import torch
from measuring import machine, write_section

from prunetransfer.efficiency.measure import Comparison, deployed
from prunetransfer.models.backbones import Backbone
from prunetransfer.pruning.making import make_mask, ranked
from prunetransfer.structure.dependencies import find_units
from prunetransfer.structure.units import Units

SIZE = 224
SHARES = (0.3, 0.5)  # of the multiply-adds that go


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--networks", nargs="+", default=["resnet50", "vit_base_patch16_224"])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 32, 256])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each batch size and mask, at least")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page's section")
    options = parser.parse_args()
    torch.set_num_threads(1)
    text = f"{machine(options.device)}; {SIZE} × {SIZE} pixels\n\n"
    for line in _rows(options.networks, options.device, options.batch_sizes, options.seconds):
        print(line, flush=True)
        text += line + "\n"
    if options.write:
        write_section(options.write, f"latency, {options.device.type}", text)


def _rows(networks: list[str], device: torch.device, batch_sizes: list[int], seconds: float) -> Iterator[str]:
    yield "| network | images | multiply-adds | time | of what they promise |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for name in networks:
        torch.manual_seed(0)
        dense = Backbone(timm.create_model(name, num_classes=0), [0.5] * 3, [0.25] * 3).eval()
        units = find_units(dense, (3, SIZE, SIZE))
        dense.lay_out(contiguous=False)
        dense.to(device)
        comparison = Comparison(dense, SIZE, batch_sizes, seconds)
        for share in SHARES:
            for row in comparison.rows(_pruned(dense, units, share)):
                promised = row["dense_multiply_adds"] / row["multiply_adds"]
                quartiles = f"1/{row['speed_up_low']:.2f} to 1/{row['speed_up_high']:.2f}"
                cells = f"`{name}`", row["batch_size"], f"1/{promised:.2f}", f"1/{row['speed_up']:.2f} ({quartiles})"
                yield f"| {' | '.join(map(str, cells))} | {row['speed_up'] / promised:.2f} |"


def _pruned(dense: Backbone, units: Units, share: float) -> Backbone:
    scores = {name: weight.detach().square().cpu().numpy() for name, weight in dense.prunable().items()}
    mask = make_mask(ranked(scores, units), share, "channels", budget="multiply_adds")
    return deployed(dense, mask, units)


if __name__ == "__main__":
    main()
