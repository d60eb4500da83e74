def readouts():
    """Each readout that the study asks for, with the keys of the study that it reads."""
    return {
        readout: {key: config[key] for key in NEEDS["readouts"][readout]["keys"]} | plugin("readouts", readout)
        for readout in config["readouts"]
    }


def target_heads(wildcards):
    return [head(target, wildcards.backbone) for target in TARGETS[wildcards.targets]]


def target_images(split):
    return lambda wildcards: [images(target, wildcards.backbone, split) for target in TARGETS[wildcards.targets]]


rule evaluate:
    input:
        weights=dense_weights,
        heads=target_heads,
        test=target_images("test"),
        train=(
            target_images("train")
            if any(NEEDS["readouts"][readout]["train"] for readout in config["readouts"])
            else []
        ),
        pruned=pruned_files,
    output:
        rows=RESULTS / "evaluations/{backbone}/{criterion}/{recovery}/{targets}/seed{seed}.parquet",
        predictions=RESULTS / "evaluations/{backbone}/{criterion}/{recovery}/{targets}/seed{seed}.predictions.parquet",
    params:
        backbone=architecture,
        targets=lambda wildcards: TARGETS[wildcards.targets],
        readouts=readouts(),
        code=code("evaluate"),
    log:
        LOGS / "evaluations/{backbone}/{criterion}/{recovery}/{targets}/seed{seed}.log",
    benchmark:
        COSTS / "evaluations/{backbone}/{criterion}/{recovery}/{targets}/seed{seed}.tsv"
    threads: config["threads"]
    resources:
        **computing_job(mem_mb=memory(reading), minutes=60),
    script:
        "../scripts/evaluate.py"
