def readouts():
    """Each readout that the study asks for, with its settings."""
    settings = {"linear_probe": config["head"], "knn": {"neighbours": config["neighbours"]}}
    return {readout: settings.get(readout, {}) for readout in config["readouts"]}


def target_heads(wildcards):
    return [head(target, wildcards.backbone) for target in TARGETS[wildcards.targets]]


def target_images(split):
    return lambda wildcards: [images(target, wildcards.backbone, split) for target in TARGETS[wildcards.targets]]


rule evaluate:
    input:
        weights=dense_weights,
        heads=target_heads,
        test=target_images("test"),
        train=target_images("train") if set(readouts()) - {"zero_shot"} else [],
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
