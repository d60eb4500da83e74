def pattern_of(wildcards):
    return dict(zip(("pattern", "sparsity"), read_name(wildcards.mask)))


rule build_mask:
    input:
        RESULTS / paths.SCORE,
    output:
        RESULTS / paths.MASK,
    params:
        mask=pattern_of,
        code=lambda wildcards: code("build_mask", entry=pattern_of(wildcards)["pattern"]),
    log:
        log_of(paths.MASK),
    benchmark:
        costs_of(paths.MASK)
    localrule: True
    resources:
        **resources(mem_mb=1000, minutes=10),
    script:
        "../scripts/build_mask.py"
