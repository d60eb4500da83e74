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
        code=code("pretrain_backbone"),
    log:
        LOGS / "pretrained/{backbone}.log",
    benchmark:
        COSTS / "pretrained/{backbone}.tsv"
    threads: 8
    resources:
        **computing_job(mem_mb=8000, minutes=240),
    script:
        "../scripts/pretrain_backbone.py"
