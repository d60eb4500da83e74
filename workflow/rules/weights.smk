# Both run where Snakemake was started: compute nodes may have no network.
rule weights:
    input:
        [
            weights_file(name)
            for name, backbone in config["backbones"].items()
            if backbone["weights"]["source"] != "pretrain"
        ],
    localrule: True


def own_pretraining(wildcards):
    """The checkpoint of this study's pretrain stage, for a backbone whose weights come from there."""
    if weights_settings(wildcards)["source"] != "pretrain":
        return []
    return file(paths.PRETRAINED, backbone=wildcards.backbone)


def weights_settings(wildcards):
    return config["backbones"][wildcards.backbone]["weights"]


rule download_weights:
    input:
        own_pretraining,
    output:
        paths.WEIGHTS,
    params:
        backbone=architecture,
        weights=weights_settings,
        size=lambda wildcards: config["backbones"][wildcards.backbone]["size"],
        code=code("download_weights"),
    log:
        log_of(paths.WEIGHTS),
    benchmark:
        costs_of(paths.WEIGHTS)
    localrule: True
    resources:
        **resources(mem_mb=2000, minutes=30),
    script:
        "../scripts/download_weights.py"


# For people and scripts that know a backbone's name and not its digest.
rule name_weights:
    input:
        dense_weights,
    output:
        paths.WEIGHTS_BY_NAME,
    wildcard_constraints:
        backbone="|".join(map(re.escape, config["backbones"])),
    localrule: True
    shell:
        "ln -sf $(basename {input:q}) {output:q}"
