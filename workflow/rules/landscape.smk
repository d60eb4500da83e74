# The loss of every task around the dense weights, where the config asks for it.
LANDSCAPE = config.get("landscape")
# Tasks are the targets, in the groups of the evaluation, and datasets of sources that are no target, alone; without
# labels there is no loss. Of datasets with the same train images one is a task: their losses would be the same.
TASKS = {
    "+".join(tasks): tasks
    for group in [
        *TARGETS.values(),
        *([dataset] for dataset in SOURCE_DATASETS if dataset in LABELLED and dataset not in config["targets"]),
    ]
    if (tasks := [task for task in group if SAME_TRAIN[task] == task])
}
TASK_NAMES = [task for group in TASKS.values() for task in group]


def landscape_files(pattern, **names):
    """The files of one landscape stage: every backbone that is studied, task or group of tasks, and seed."""
    return expand(RESULTS / pattern, backbone=LANDSCAPE["backbones"], **names, seed=config["seeds"])


def landscape_settings(*keys):
    return lambda wildcards: {key: LANDSCAPE[key] for key in keys}


def landscape_masks(wildcards):
    return [
        mask_file(wildcards.backbone, criterion, wildcards.seed, mask)
        for criterion in criteria()
        if Job.parse({"criterion": criterion}).score in LANDSCAPE["scores"]
        for mask in masks(wildcards.backbone, criterion)
        if read_name(mask)["sparsity"] in LANDSCAPE["sparsities"]
    ]


rule compute_spectrum:
    input:
        weights=dense_weights,
        head=lambda wildcards: head(wildcards.dataset, wildcards.backbone),
        train=lambda wildcards: images(wildcards.dataset, wildcards.backbone, "train"),
    output:
        RESULTS / paths.SPECTRUM,
    params:
        backbone=architecture,
        landscape=landscape_settings("samples", "eigenvalues", "draws", "hessian_eigenvalue"),
        code=code("compute_spectrum"),
    log:
        log_of(paths.SPECTRUM),
    benchmark:
        costs_of(paths.SPECTRUM)
    threads: config["threads"]
    resources:
        **computing_resources(mem_mb=4000, minutes=60),
    script:
        "../scripts/compute_spectrum.py"


# All masks in one job: to start a process takes longer than the products of a mask.
rule perturb:
    input:
        weights=dense_weights,
        heads=lambda wildcards: [head(task, wildcards.backbone) for task in TASKS[wildcards.targets]],
        train=lambda wildcards: [images(task, wildcards.backbone, "train") for task in TASKS[wildcards.targets]],
        masks=landscape_masks,
    output:
        rows=RESULTS / paths.PERTURBATION,
        paths=RESULTS / paths.LOSS_PATHS,
    params:
        backbone=architecture,
        tasks=lambda wildcards: TASKS[wildcards.targets],
        landscape=landscape_settings("samples", "steps"),
        code=code("perturb"),
    log:
        log_of(paths.PERTURBATION),
    benchmark:
        costs_of(paths.PERTURBATION)
    threads: config["threads"]
    resources:
        **computing_resources(mem_mb=4000, minutes=60),
    script:
        "../scripts/perturb.py"
