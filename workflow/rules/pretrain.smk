# Backbones that the study trains itself, where the config has recipes.
PRETRAINED = [file(paths.PRETRAINED, backbone=backbone) for backbone in config["pretrain"]]


def pretraining_images(split):
    return lambda wildcards: images(config["pretrain"][wildcards.backbone]["dataset"], wildcards.backbone, split)


def objective_digest(wildcards):
    objective = config["pretrain"][wildcards.backbone]["objective"]
    return code("pretrain_backbone", module_of("pretrain", objective))


rule pretrain:
    input:
        PRETRAINED,
        [table("pretraining"), file(paths.FIGURE, figure="pretraining", suffix="png")] if PRETRAINED else [],


rule pretrain_backbone:
    input:
        train=pretraining_images("train"),
        test=pretraining_images("test"),
    output:
        weights=RESULTS / paths.PRETRAINED,
        card=RESULTS / paths.CARD,
    params:
        backbone=architecture,
        recipe=lambda wildcards: config["pretrain"][wildcards.backbone],
        code=objective_digest,
    log:
        log_of(paths.PRETRAINED),
    benchmark:
        costs_of(paths.PRETRAINED)
    threads: config["threads"]
    resources:
        **computing_resources(mem_mb=8000, minutes=240),
    script:
        "../scripts/pretrain_backbone.py"
