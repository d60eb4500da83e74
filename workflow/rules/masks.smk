rule build_mask:
    input:
        RESULTS / paths.SCORE,
    output:
        RESULTS / paths.MASK,
    params:
        mask=lambda wildcards: read_name(wildcards.mask),
        code=lambda wildcards: code("build_mask", entry=read_name(wildcards.mask)["pattern"]),
    log:
        log_of(paths.MASK),
    benchmark:
        costs_of(paths.MASK)
    localrule: True
    resources:
        **resources(mem_mb=1000, minutes=10),
    script:
        "../scripts/build_mask.py"
