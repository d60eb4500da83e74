rule download_weights:
    input:
        own_pretraining,
    output:
        WEIGHTS / "{backbone}.safetensors",
    params:
        backbone=architecture,
        weights=lambda wildcards: config["backbones"][wildcards.backbone]["weights"],
        code=code("download_weights"),
    log:
        LOGS / "weights/{backbone}.log",
    benchmark:
        COSTS / "weights/{backbone}.tsv"
    resources:
        mem_mb=2000,
        runtime=30,
    script:
        "../scripts/download_weights.py"
