rule evaluate:
    input:
        weights=WEIGHTS / "{backbone}.safetensors",
        head=lambda wildcards: head(wildcards.target, wildcards.backbone),
        test=lambda wildcards: images(wildcards.target, wildcards.backbone, "test"),
        pruned=pruned_files,
    output:
        RESULTS / "evaluations/{backbone}/{criterion}/{recovery}/{target}/seed{seed}.parquet",
    params:
        backbone=architecture,
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
