# Both run where Snakemake was started: compute nodes may have no network.
rule weights:
    input:
        [
            weights_file(name)
            for name, backbone in config["backbones"].items()
            if backbone["weights"]["source"] != "pretrain"
        ],
    localrule: True


rule download_weights:
    input:
        own_pretraining,
    output:
        WEIGHTS / "{backbone}-{settings}.safetensors",
    params:
        backbone=architecture,
        weights=weights_settings,
        size=lambda wildcards: config["backbones"][wildcards.backbone]["size"],
        code=code("download_weights"),
    log:
        LOGS / "weights/{backbone}-{settings}.log",
    benchmark:
        COSTS / "weights/{backbone}-{settings}.tsv"
    localrule: True
    resources:
        **job(mem_mb=2000, minutes=30),
    script:
        "../scripts/download_weights.py"


# For people and scripts that know a backbone's name and not its digest.
rule name_weights:
    input:
        dense_weights,
    output:
        WEIGHTS / "{backbone}.safetensors",
    wildcard_constraints:
        backbone="|".join(map(re.escape, config["backbones"])),
    localrule: True
    shell:
        "ln -sf $(basename {input:q}) {output:q}"
