def head_settings(wildcards):
    """The dataset's own, or the study's."""
    return config["datasets"][wildcards.dataset].get("head", config["head"])


rule fit_head:
    input:
        weights=dense_weights,
        train=lambda wildcards: images(wildcards.dataset, wildcards.backbone, "train"),
    output:
        RESULTS / paths.HEAD,
    params:
        backbone=architecture,
        head=head_settings,
        code=code("fit_head"),
    log:
        log_of(paths.HEAD),
    benchmark:
        costs_of(paths.HEAD)
    threads: config["threads"]
    resources:
        **computing_resources(mem_mb=memory(reading), minutes=60),
    script:
        "../scripts/fit_head.py"
