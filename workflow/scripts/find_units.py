"""Find the channels, hidden units and attention heads of a backbone that can be removed."""

from prunetransfer.models.backbones import load_backbone
from prunetransfer.runtime.devices import prepare_process
from prunetransfer.stages.stage import stage
from prunetransfer.structure.dependencies import find_units
from prunetransfer.structure.units import write_units

with stage(snakemake):
    device = prepare_process(snakemake.threads, seed=0)
    backbone = load_backbone(snakemake.params.backbone, snakemake.input[0], device)
    units = find_units(backbone, (3, snakemake.params.size, snakemake.params.size))
    count = sum(map(len, units.families))
    print(f"{count} units in {len(units.families)} families can go")
    write_units(snakemake.output[0], units)
