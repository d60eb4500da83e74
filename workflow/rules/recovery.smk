rule recover:
    input:
        unpack(recovery_files),
        weights=dense_weights,
        mask=lambda wildcards: mask(wildcards.backbone, wildcards.criterion, wildcards.seed, wildcards.sparsity),
    output:
        intermediate("recovered", RECOVERED),
    params:
        backbone=architecture,
        recovery=recovery_settings,
        code=recovery_digest,
    log:
        LOGS / "recovered/{recovery}/{backbone}/{criterion}/seed{seed}/{sparsity}.log",
    benchmark:
        COSTS / "recovered/{recovery}/{backbone}/{criterion}/seed{seed}/{sparsity}.tsv"
    threads: config["threads"]
    resources:
        **computing_job(mem_mb=memory(recovering, recovery_settings), minutes=240),
    script:
        "../scripts/recover.py"
