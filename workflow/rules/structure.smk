rule find_units:
    input:
        dense_weights,
    output:
        RESULTS / paths.UNITS,
    params:
        backbone=architecture,
        size=lambda wildcards: config["backbones"][wildcards.backbone]["size"],
        code=code("find_units"),
    log:
        log_of(paths.UNITS),
    benchmark:
        costs_of(paths.UNITS)
    threads: config["threads"]
    resources:
        **computing_resources(mem_mb=4000, minutes=20),
    script:
        "../scripts/find_units.py"


def has_own_units(wildcards):
    """Whether the score has a form of its own for whole units; the others are summed over the weights of a unit."""
    return NEEDS["scores"][score_function(Job.parse(wildcards).score)]["units"]


def unit_score_files(wildcards):
    if has_own_units(wildcards):
        return source_files(wildcards) | {"weights": dense_weights(wildcards)}
    return {"scores": file(paths.SCORE, **wildcards)}


def unit_score_digest(wildcards):
    function = score_function(Job.parse(wildcards).score)
    return code("score_units", *(modules("scores", function) if has_own_units(wildcards) else []))


rule score_units:
    input:
        unpack(unit_score_files),
        units=RESULTS / paths.UNITS,
    output:
        intermediate("scores", paths.UNIT_SCORE),
    params:
        backbone=architecture,
        size=lambda wildcards: config["backbones"][wildcards.backbone]["size"],
        score=score_settings,
        code=unit_score_digest,
    log:
        log_of(paths.UNIT_SCORE),
    benchmark:
        costs_of(paths.UNIT_SCORE)
    threads: config["threads"]
    resources:
        **computing_resources(mem_mb=memory(scoring, whole_score_settings), minutes=60),
    script:
        "../scripts/score_units.py"
