# What the masks of the first seed save, where the config asks for it.
EFFICIENCY = config.get("efficiency")
# The entries of `masks` that take whole units out of the network.
WHOLE_UNITS = [
    name for name, entry in config["masks"].items() if NEEDS["masks"][registered_name(entry["pattern"])]["units"]
]


def measured_masks(job):
    """The masks of a backbone and a criterion that are measured."""
    named = masks(job["backbone"], job["criterion"])
    return [mask for mask in named if read_name(mask)["mask"] in EFFICIENCY["masks"]]


MEASUREMENTS = (
    [
        file(paths.EFFICIENCY, backbone=backbone, criterion=criterion, seed=config["seeds"][0])
        for backbone in EFFICIENCY["backbones"]
        for criterion in criteria()
        if Job.parse({"criterion": criterion}).score in EFFICIENCY["scores"]
        if measured_masks(dict(backbone=backbone, criterion=criterion))
    ]
    if EFFICIENCY
    else []
)


def threads_alone(wildcards):
    """Those of a job that no other one may run beside: its times would mean nothing.

    Where Snakemake runs the jobs itself, these are all of --cores, to which it cuts down what is asked for. A cluster
    gives the job a node of its own instead (slurm_extra).
    """
    # A function, as these are known only after the rules were read.
    return 1 if workflow.remote_exec or workflow.non_local_exec else sys.maxsize


def measuring_minutes():
    """Twice the time that all masks are measured for, and half an hour for networks whose five rounds take longer."""
    most = sum(len(config["masks"][name]["sparsities"]) for name in EFFICIENCY["masks"])
    return 30 + round(2 * EFFICIENCY["seconds"] * len(EFFICIENCY["batch_sizes"]) * most / 60)


if EFFICIENCY:

    # All masks in one job, which loads the dense backbone once.
    rule measure_efficiency:
        input:
            weights=dense_weights,
            masks=lambda wildcards: [
                mask_file(wildcards.backbone, wildcards.criterion, wildcards.seed, mask)
                for mask in measured_masks(wildcards)
            ],
            units=lambda wildcards: file(paths.UNITS, backbone=wildcards.backbone) if WHOLE_UNITS else [],
        output:
            RESULTS / paths.EFFICIENCY,
        params:
            backbone=architecture,
            whole_units=WHOLE_UNITS,
            size=lambda wildcards: config["backbones"][wildcards.backbone]["size"],
            efficiency={key: EFFICIENCY[key] for key in ("batch_sizes", "seconds")},
            code=code("measure_efficiency"),
        log:
            log_of(paths.EFFICIENCY),
        benchmark:
            costs_of(paths.EFFICIENCY)
        threads: threads_alone
        resources:
            **computing_resources(
                mem_mb=memory(timing, lambda wildcards: EFFICIENCY["batch_sizes"]), minutes=measuring_minutes()
            ),
            slurm_extra="--exclusive",
        script:
            "../scripts/measure_efficiency.py"
