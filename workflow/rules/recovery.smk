rule recover:
    input:
        weights=WEIGHTS / "{backbone}.safetensors",
        mask=RESULTS / "masks/{backbone}/{criterion}/seed{seed}/{sparsity}.safetensors",
        head=lambda wildcards: head(split_name(wildcards.recovery)[1], wildcards.backbone),
        train=lambda wildcards: images(split_name(wildcards.recovery)[1], wildcards.backbone, "train"),
    output:
        RESULTS / "recovered/{recovery}/{backbone}/{criterion}/seed{seed}/{sparsity}.safetensors",
    params:
        backbone=architecture,
        recovery=recovery_settings,
        code=lambda wildcards: code("recover", f"recovery.{split_name(wildcards.recovery)[0]}"),
    log:
        LOGS / "recovered/{recovery}/{backbone}/{criterion}/seed{seed}/{sparsity}.log",
    benchmark:
        COSTS / "recovered/{recovery}/{backbone}/{criterion}/seed{seed}/{sparsity}.tsv"
    threads: config["threads"]
    resources:
        **computing_job(mem_mb=4000, minutes=240),
    script:
        "../scripts/recover.py"
