rule fit_head:
    input:
        weights=dense_weights,
        train=lambda wildcards: images(wildcards.dataset, wildcards.backbone, "train"),
    output:
        RESULTS / "heads/{backbone}/{dataset}.safetensors",
    params:
        backbone=architecture,
        head=head_settings,
        code=code("fit_head"),
    log:
        LOGS / "heads/{backbone}/{dataset}.log",
    benchmark:
        COSTS / "heads/{backbone}/{dataset}.tsv"
    threads: config["threads"]
    resources:
        **computing_job(mem_mb=memory(reading), minutes=60),
    script:
        "../scripts/fit_head.py"
