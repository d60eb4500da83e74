from snakemake.io import strip_wildcard_constraints


def measured_stages():
    """Each rule whose files say how they were made: what its benchmark files are called, and the first file it makes."""
    suffixes = (".safetensors", ".parquet", ".json")
    return {
        stage.name: {"costs": stage.benchmark.regex().pattern, "file": strip_wildcard_constraints(stage.output[0])}
        for stage in workflow.rules
        if stage.name != "costs" and stage.benchmark and Path(stage.output[0]).suffix in suffixes
    }


def names():
    """What the config's wildcards may be: jobs of names that it no longer has are not counted."""
    used = sorted({name for backbone in config["backbones"] for c in criteria() for name in recoveries(backbone, c)})
    return {
        "backbone": list(config["backbones"]),
        "dataset": list(config["datasets"]),
        "criterion": list(dict.fromkeys(own for criterion in criteria() for own in [criterion, *scored(criterion)])),
        "recovery": used,
        "targets": list(TASKS),
        "seed": [str(seed) for seed in config["seeds"]],
        "mask": sorted({mask for job in EVALUATED for mask in masks_of(job)}),
    }


# The tables come last of all that is counted. Benchmark files are found by name: as inputs they would be thousands.
rule costs:
    input:
        [path for name, path in TABLES.items() if name != "costs"],
    output:
        table_in_report("costs"),
    params:
        study=config["study"],
        folder=str(COSTS),
        stages=lambda wildcards: measured_stages(),
        names=lambda wildcards: names(),
        methods=METHODS,
        code=code("costs"),
    log:
        LOGS / "costs.log",
    benchmark:
        COSTS / "costs.tsv"
    localrule: True
    resources:
        **resources(mem_mb=2000, minutes=10),
    script:
        "../scripts/costs.py"
