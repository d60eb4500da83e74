# The loss of every task around the dense weights, where the config asks for it.
LANDSCAPE = config.get("landscape")

if LANDSCAPE:
    TABLES |= {
        name: RESULTS / f"tables/{name}.parquet"
        for name in ("landscape", "spectrum", "alignment", "perturbations", "paths")
    }


# Tasks are the targets, in the groups of the evaluation, and sources that are no target, alone.
TASKS = TARGETS | {source: [source] for source in config["sources"] if source not in config["targets"]}


def landscape_files(folder, groups, ending):
    """The files of one landscape stage: every backbone that is studied, task or group of tasks, and seed."""
    return [
        RESULTS / f"{folder}/{backbone}/{group}/seed{seed}{ending}"
        for backbone in LANDSCAPE["backbones"]
        for group in groups
        for seed in config["seeds"]
    ]


def landscape_settings(*keys):
    return lambda wildcards: {key: LANDSCAPE[key] for key in keys}


def landscape_masks(wildcards):
    return [
        mask(wildcards.backbone, criterion, wildcards.seed, decimal(sparsity))
        for criterion in criteria()
        if split_name(criterion)[0] in LANDSCAPE["scores"]
        for sparsity in LANDSCAPE["sparsities"]
    ]


rule spectrum:
    input:
        weights=dense_weights,
        head=lambda wildcards: head(wildcards.dataset, wildcards.backbone),
        train=lambda wildcards: images(wildcards.dataset, wildcards.backbone, "train"),
    output:
        RESULTS / "spectra/{backbone}/{dataset}/seed{seed}.safetensors",
    params:
        backbone=architecture,
        landscape=landscape_settings("samples", "eigenvalues", "draws", "hessian_eigenvalue"),
        code=code("spectrum"),
    log:
        LOGS / "spectra/{backbone}/{dataset}/seed{seed}.log",
    benchmark:
        COSTS / "spectra/{backbone}/{dataset}/seed{seed}.tsv"
    threads: config["threads"]
    resources:
        **computing_job(mem_mb=4000, minutes=60),
    script:
        "../scripts/spectrum.py"


# All masks in one job: to start a process takes longer than the products of a mask.
rule perturb:
    input:
        weights=dense_weights,
        heads=lambda wildcards: [head(task, wildcards.backbone) for task in TASKS[wildcards.targets]],
        train=lambda wildcards: [images(task, wildcards.backbone, "train") for task in TASKS[wildcards.targets]],
        masks=landscape_masks,
    output:
        rows=RESULTS / "perturbations/{backbone}/{targets}/seed{seed}.parquet",
        paths=RESULTS / "perturbations/{backbone}/{targets}/seed{seed}.paths.parquet",
    params:
        backbone=architecture,
        tasks=lambda wildcards: TASKS[wildcards.targets],
        landscape=landscape_settings("samples", "steps"),
        code=code("perturb"),
    log:
        LOGS / "perturbations/{backbone}/{targets}/seed{seed}.log",
    benchmark:
        COSTS / "perturbations/{backbone}/{targets}/seed{seed}.tsv"
    threads: config["threads"]
    resources:
        **computing_job(mem_mb=4000, minutes=60),
    script:
        "../scripts/perturb.py"


rule landscape:
    input:
        lambda _: landscape_files("spectra", [task for group in TASKS.values() for task in group], ".safetensors"),
    output:
        landscape=report(RESULTS / "tables/landscape.parquet", caption="../report/landscape.rst", category="Tables"),
        spectrum=report(RESULTS / "tables/spectrum.parquet", caption="../report/spectrum.rst", category="Tables"),
        alignment=report(RESULTS / "tables/alignment.parquet", caption="../report/alignment.rst", category="Tables"),
    params:
        study=config["study"],
        code=code("landscape"),
    log:
        LOGS / "landscape.log",
    benchmark:
        COSTS / "landscape.tsv"
    localrule: True
    resources:
        **job(mem_mb=8000, minutes=60),
    script:
        "../scripts/landscape.py"


rule perturbations:
    input:
        rows=lambda _: landscape_files("perturbations", TASKS, ".parquet"),
        paths=lambda _: landscape_files("perturbations", TASKS, ".paths.parquet"),
        predicted_loss=TABLES["predicted_loss"],
    output:
        perturbations=report(
            RESULTS / "tables/perturbations.parquet", caption="../report/perturbations.rst", category="Tables"
        ),
        paths=report(RESULTS / "tables/paths.parquet", caption="../report/paths.rst", category="Tables"),
    params:
        study=config["study"],
        code=code("perturbations"),
    log:
        LOGS / "perturbations.log",
    benchmark:
        COSTS / "perturbations.tsv"
    localrule: True
    resources:
        **job(mem_mb=2000, minutes=10),
    script:
        "../scripts/perturbations.py"
