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


def pruned_files(wildcards):
    """One file a sparsity: masks where nothing is recovered, else weights, also those of pruning in steps."""
    names = masks_of(wildcards)
    if wildcards.recovery != "none":
        return {"recovered": [file(paths.RECOVERED, **wildcards, mask=mask) for mask in names]}
    if steps(Job.parse(wildcards).score):
        return {"recovered": [file(paths.STEPPED, **wildcards, mask=mask) for mask in names]}
    return {"masks": [mask_file(wildcards.backbone, wildcards.criterion, wildcards.seed, mask) for mask in names]}


rule evaluate:
    input:
        unpack(pruned_files),
        weights=dense_weights,
        heads=target_heads,
        test=target_images("test"),
        train=(
            target_images("train")
            if any(NEEDS["readouts"][readout]["train"] for readout in config["readouts"])
            else []
        ),
    output:
        rows=RESULTS / paths.EVALUATION,
        predictions=RESULTS / paths.PREDICTIONS,
    params:
        backbone=architecture,
        targets=lambda wildcards: TARGETS[wildcards.targets],
        readouts=readouts(),
        code=code("evaluate"),
    log:
        log_of(paths.EVALUATION),
    benchmark:
        costs_of(paths.EVALUATION)
    threads: config["threads"]
    resources:
        **computing_resources(mem_mb=memory(reading), minutes=60),
    script:
        "../scripts/evaluate.py"
