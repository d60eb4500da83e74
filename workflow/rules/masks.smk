def rankings(wildcards):
    """The scores that weights are ranked by in turn, and, where the mask takes whole units out, these with theirs."""
    jobs = [dict(wildcards) | {"criterion": criterion} for criterion in scored(wildcards.criterion)]
    units = units_of(wildcards)
    of_units = {"unit_scores": [file(paths.UNIT_SCORE, **job) for job in jobs]} if units else {}
    return units | of_units | {"scores": [file(paths.SCORE, **job) for job in jobs]}


rule build_mask:
    input:
        unpack(rankings),
    output:
        RESULTS / paths.MASK,
    wildcard_constraints:
        criterion=rf"(?!({any_of(IN_STEPS)})@)[^/]+",
    params:
        mask=lambda wildcards: read_name(wildcards.mask),
        pattern=pattern_settings,
        code=lambda wildcards: code("build_mask", *modules("masks", pattern_of(wildcards))),
    log:
        log_of(paths.MASK),
    benchmark:
        costs_of(paths.MASK)
    localrule: True
    resources:
        **resources(mem_mb=lambda wildcards: 1000 * len(scored(wildcards.criterion)), minutes=10),
    script:
        "../scripts/build_mask.py"


def between(wildcards):
    """The settings of the recovery between steps."""
    return settings_of_recovery(steps(Job.parse(wildcards).score)["between"])


def step_images(wildcards):
    """What the recovery between steps sees: the train images of the criterion's source, and those beside."""
    job = Job.parse(wildcards)
    return {
        "train": images(job.prune_source, job.backbone, "train"),
        "beside": beside(between(wildcards), job.prune_source, job.backbone),
    }


rule prune_in_steps:
    input:
        unpack(step_images),
        unpack(units_of),
        weights=dense_weights,
        scores=RESULTS / paths.SCORE,
    output:
        mask=RESULTS / paths.MASK,
        weights=intermediate("recovered", paths.STEPPED),
    wildcard_constraints:
        criterion=rf"({any_of(IN_STEPS)})@[^/]+",
    params:
        backbone=architecture,
        mask=lambda wildcards: read_name(wildcards.mask),
        pattern=pattern_settings,
        rounds=lambda wildcards: steps(Job.parse(wildcards).score)["rounds"],
        refine=lambda wildcards: steps(Job.parse(wildcards).score)["refine"],
        recovery=between,
        code=lambda wildcards: code(
            "prune_in_steps",
            *modules("recoveries", between(wildcards)["recovery"]),
            *modules("masks", pattern_of(wildcards)),
        ),
    log:
        log_of(paths.STEPPED),
    benchmark:
        costs_of(paths.STEPPED)
    threads: config["threads"]
    resources:
        **computing_resources(mem_mb=memory(recovering, between), minutes=240),
    script:
        "../scripts/prune_in_steps.py"
