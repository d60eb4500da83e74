"""How far can a pre-trained backbone be pruned before the tasks it has never seen suffer?

`snakemake --cores 8` runs config.yaml; `snakemake --cores 8 --configfile studies/NAME.yaml` another study.
"""

from snakemake.utils import min_version

min_version("9.0")

# A study is one whole file: config.yaml stands in only where none was named.
if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/weights.smk"
include: "workflow/rules/datasets.smk"
include: "workflow/rules/images.smk"
include: "workflow/rules/heads.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/structure.smk"
include: "workflow/rules/masks.smk"
include: "workflow/rules/recovery.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/landscape.smk"
include: "workflow/rules/efficiency.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/costs.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/pages.smk"


report: "workflow/report/workflow.rst"


localrules:
    all,
    tables,
    figures,
    datasets,
    pretrain,


rule all:
    default_target: True
    input:
        TABLES.values(),
        FIGURES,
        PAGES,


rule tables:
    input:
        TABLES.values(),


rule figures:
    input:
        FIGURES,
