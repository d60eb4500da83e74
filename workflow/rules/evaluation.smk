def readouts():
    """Each readout that the study asks for, with its settings."""
    settings = {"linear_probe": config["head"], "knn": {"neighbours": config["neighbours"]}}
    return {readout: settings.get(readout, {}) for readout in config["readouts"]}


def probed_images(wildcards):
    """The target's train images, where a readout learns from them."""
    return images(wildcards.target, wildcards.backbone, "train") if set(readouts()) - {"zero_shot"} else []


rule evaluate:
    input:
        weights=WEIGHTS / "{backbone}.safetensors",
        head=RESULTS / "heads/{backbone}/{target}.safetensors",
        test=lambda wildcards: images(wildcards.target, wildcards.backbone, "test"),
        train=probed_images,
        pruned=pruned_files,
    output:
        rows=RESULTS / "evaluations/{backbone}/{criterion}/{recovery}/{target}/seed{seed}.parquet",
        predictions=RESULTS / "evaluations/{backbone}/{criterion}/{recovery}/{target}/seed{seed}.predictions.parquet",
    params:
        backbone=architecture,
        readouts=readouts(),
        code=code("evaluate"),
    log:
        LOGS / "evaluations/{backbone}/{criterion}/{recovery}/{target}/seed{seed}.log",
    benchmark:
        COSTS / "evaluations/{backbone}/{criterion}/{recovery}/{target}/seed{seed}.tsv"
    threads: config["threads"]
    resources:
        **computing_job(mem_mb=4000, minutes=60),
    script:
        "../scripts/evaluate.py"
