# Backbones that the study trains itself, where the config has recipes.
PRETRAINED = [RESULTS / f"pretrained/{backbone}.safetensors" for backbone in config["pretrain"]]

if PRETRAINED:
    TABLES["pretraining"] = RESULTS / "tables/pretraining.parquet"


def objective_digest(wildcards):
    objective = config["pretrain"][wildcards.backbone]["objective"]
    return code("pretrain_backbone", module_of("pretrain", objective))


rule pretrain:
    input:
        PRETRAINED,
        [RESULTS / f"{kind}/pretraining.{suffix}" for kind, suffix in (("tables", "parquet"), ("figures", "png"))]
        if PRETRAINED
        else [],


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


if PRETRAINED:

    rule pretraining:
        input:
            PRETRAINED,
        output:
            report(TABLES["pretraining"], caption="../report/pretraining.rst", category="Tables"),
        params:
            study=config["study"],
            labels={
                name: {
                    "pretraining": config["backbones"][name]["pretraining"],
                    "objective": recipe["objective"],
                    "dataset": recipe["dataset"],
                }
                for name, recipe in config["pretrain"].items()
            },
            code=code("pretraining"),
        log:
            LOGS / "pretraining.log",
        benchmark:
            COSTS / "pretraining.tsv"
        localrule: True
        resources:
            **job(mem_mb=2000, minutes=10),
        script:
            "../scripts/pretraining.py"
