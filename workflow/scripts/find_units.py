"""Find the channels, hidden units and attention heads of a backbone that can be removed."""

from prunetransfer.models.backbones import load_backbone
from prunetransfer.runtime.devices import prepare_process
from prunetransfer.stages.stage import stage
from prunetransfer.structure.dependencies import units_and_rest
from prunetransfer.structure.units import write_units

with stage(snakemake):
    device = prepare_process(snakemake.threads, seed=0)
    backbone = load_backbone(snakemake.params.backbone, snakemake.input[0], device)
    units, rest = units_and_rest(backbone, (3, snakemake.params.size, snakemake.params.size))
    for name, reason in rest.items():
        print(f"the rows of {name} stay: {reason}")
    count = sum(map(len, units.families))
    print(f"{count} units in {len(units.families)} families can go")
    write_units(snakemake.output[0], units)
