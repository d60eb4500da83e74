# Both run where Snakemake was started: compute nodes may have no network.
rule weights:
    input:
        [
            WEIGHTS / f"{name}.safetensors"
            for name, backbone in config["backbones"].items()
            if backbone["weights"]["source"] != "pretrain"
        ],
    localrule: True


rule download_weights:
    input:
        own_pretraining,
    output:
        WEIGHTS / "{backbone}.safetensors",
    params:
        backbone=architecture,
        weights=lambda wildcards: config["backbones"][wildcards.backbone]["weights"],
        size=lambda wildcards: config["backbones"][wildcards.backbone]["size"],
        code=code("download_weights"),
    log:
        LOGS / "weights/{backbone}.log",
    benchmark:
        COSTS / "weights/{backbone}.tsv"
    localrule: True
    resources:
        **job(mem_mb=2000, minutes=30),
    script:
        "../scripts/download_weights.py"
