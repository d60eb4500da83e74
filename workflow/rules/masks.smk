rule build_mask:
    input:
        RESULTS / "scores/{backbone}/{criterion}/seed{seed}.safetensors",
    output:
        RESULTS / "masks/{backbone}/{criterion}/seed{seed}/{sparsity}.safetensors",
    params:
        code=code("build_mask"),
    log:
        LOGS / "masks/{backbone}/{criterion}/seed{seed}/{sparsity}.log",
    benchmark:
        COSTS / "masks/{backbone}/{criterion}/seed{seed}/{sparsity}.tsv"
    localrule: True
    resources:
        **job(mem_mb=1000, minutes=10),
    script:
        "../scripts/build_mask.py"
