TABLES = {
    name: RESULTS / f"tables/{name}.parquet"
    for name in ("accuracy", "layer_sparsity", "damping", "convergence", "training", "verdicts")
}

EVALUATIONS = [
    RESULTS / f"evaluations/{backbone}/{criterion}/{recovery}/{target}/seed{seed}.parquet"
    for backbone in config["backbones"]
    for criterion in criteria()
    for recovery in recoveries(backbone, criterion)
    for target in config["targets"]
    for seed in config["seeds"]
]
MASKS = [
    RESULTS / f"masks/{backbone}/{criterion}/seed{seed}/{sparsity}.safetensors"
    for backbone in config["backbones"]
    for criterion in criteria()
    for seed in config["seeds"]
    for sparsity in sparsities()
]

TRAINED = [
    RESULTS / f"recovered/{recovery}/{backbone}/{criterion}/seed{seed}/{sparsity}.safetensors"
    for backbone in config["backbones"]
    for criterion in criteria()
    for recovery in recoveries(backbone, criterion)
    if config["recoveries"][links(recovery)[1]].get("recovery") in RESUMABLE
    for seed in config["seeds"]
    for sparsity in sparsities(recovery)
]
DAMPED = [score for score in config["scores"] if SCORES[score_function(score)].curvature == "block"]
SWEPT = [
    score
    for score, settings in config["scores"].items()
    if any(name != score and same_but_samples(settings, other) for name, other in config["scores"].items())
]


rule aggregate:
    input:
        EVALUATIONS,
    output:
        report(TABLES["accuracy"], caption="../report/accuracy.rst", category="Tables"),
    params:
        study=config["study"],
        labels={
            name: {key: backbone[key] for key in ("architecture", "pretraining")}
            for name, backbone in config["backbones"].items()
        },
        code=code("aggregate"),
    log:
        LOGS / "aggregate.log",
    benchmark:
        COSTS / "aggregate.tsv"
    localrule: True
    resources:
        **job(mem_mb=2000, minutes=10),
    script:
        "../scripts/aggregate.py"


rule layer_sparsity:
    input:
        MASKS,
    output:
        report(TABLES["layer_sparsity"], caption="../report/layer_sparsity.rst", category="Tables"),
    params:
        study=config["study"],
        code=code("layer_sparsity"),
    log:
        LOGS / "layer_sparsity.log",
    benchmark:
        COSTS / "layer_sparsity.tsv"
    localrule: True
    resources:
        **job(mem_mb=2000, minutes=10),
    script:
        "../scripts/layer_sparsity.py"


rule damping:
    input:
        score_files(DAMPED),
    output:
        report(TABLES["damping"], caption="../report/damping.rst", category="Tables"),
    params:
        study=config["study"],
        code=code("damping"),
    log:
        LOGS / "damping.log",
    benchmark:
        COSTS / "damping.tsv"
    localrule: True
    resources:
        **job(mem_mb=2000, minutes=10),
    script:
        "../scripts/damping.py"


rule convergence:
    input:
        score_files(SWEPT),
    output:
        report(TABLES["convergence"], caption="../report/convergence.rst", category="Tables"),
    params:
        study=config["study"],
        sparsities=config["sparsities"],
        code=code("convergence"),
    log:
        LOGS / "convergence.log",
    benchmark:
        COSTS / "convergence.tsv"
    localrule: True
    resources:
        **job(mem_mb=4000, minutes=30),
    script:
        "../scripts/convergence.py"


rule training:
    input:
        TRAINED,
    output:
        report(TABLES["training"], caption="../report/training.rst", category="Tables"),
    params:
        study=config["study"],
        code=code("training"),
    log:
        LOGS / "training.log",
    benchmark:
        COSTS / "training.tsv"
    resources:
        mem_mb=2000,
        runtime=10,
    script:
        "../scripts/training.py"


rule verdicts:
    input:
        TABLES["accuracy"],
    output:
        report(TABLES["verdicts"], caption="../report/verdicts.rst", category="Tables"),
    params:
        tolerance=config["tolerance"],
        code=code("verdicts"),
    log:
        LOGS / "verdicts.log",
    benchmark:
        COSTS / "verdicts.tsv"
    localrule: True
    resources:
        **job(mem_mb=2000, minutes=10),
    script:
        "../scripts/verdicts.py"
