def objective_digest(wildcards):
    objective = config["pretrain"][wildcards.backbone]["objective"]
    return code("pretrain_backbone", f"pretraining.{objective.replace('-', '_')}")


rule pretrain:
    input:
        [RESULTS / f"pretrained/{backbone}.safetensors" for backbone in config["pretrain"]],


rule pretrain_backbone:
    input:
        train=pretraining_images("train"),
        test=pretraining_images("test"),
    output:
        weights=RESULTS / "pretrained/{backbone}.safetensors",
        card=RESULTS / "pretrained/{backbone}.json",
    params:
        backbone=architecture,
        recipe=lambda wildcards: config["pretrain"][wildcards.backbone],
        code=objective_digest,
    log:
        LOGS / "pretrained/{backbone}.log",
    benchmark:
        COSTS / "pretrained/{backbone}.tsv"
    threads: config["threads"]
    resources:
        **computing_job(mem_mb=8000, minutes=240),
    script:
        "../scripts/pretrain_backbone.py"
