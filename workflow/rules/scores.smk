rule compute_score:
    input:
        unpack(source_files),
        weights=dense_weights,
    output:
        intermediate("scores", RESULTS / "scores/{backbone}/{criterion}/seed{seed}.safetensors"),
    params:
        backbone=architecture,
        score=score_settings,
        code=score_digest,
    log:
        LOGS / "scores/{backbone}/{criterion}/seed{seed}.log",
    benchmark:
        COSTS / "scores/{backbone}/{criterion}/seed{seed}.tsv"
    threads: config["threads"]
    resources:
        **computing_job(
            mem_mb=memory(
                scoring,
                lambda wildcards: structure(split_name(wildcards.criterion)[0]),
                lambda wildcards: config["scores"][split_name(wildcards.criterion)[0]],
            ),
            minutes=60,
        ),
    script:
        "../scripts/compute_score.py"
