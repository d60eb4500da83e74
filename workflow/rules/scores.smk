def source_files(wildcards):
    """What the criterion sees: the source's train images and those beside them, and its head where it sees labels."""
    job = Job.parse(wildcards)
    sees = seen_by(job.score)
    if sees is None:
        return {}
    files = {"train": images(job.prune_source, job.backbone, "train")}
    if sees == "labels":
        return files | {"head": head(job.prune_source, job.backbone)}
    return files | {"beside": beside(config["scores"][job.score], job.prune_source, job.backbone)}


def whole_score_settings(wildcards):
    return config["scores"][Job.parse(wildcards).score]


def score_settings(wildcards):
    settings = {key: value for key, value in whole_score_settings(wildcards).items() if key != "steps"}
    return settings | plugin("scores", settings["score"])


def score_digest(wildcards):
    return code("compute_score", *modules("scores", score_function(Job.parse(wildcards).score)))


rule compute_score:
    input:
        unpack(source_files),
        weights=dense_weights,
    output:
        intermediate("scores", paths.SCORE),
    params:
        backbone=architecture,
        size=lambda wildcards: config["backbones"][wildcards.backbone]["size"],
        score=score_settings,
        code=score_digest,
    log:
        log_of(paths.SCORE),
    benchmark:
        costs_of(paths.SCORE)
    threads: config["threads"]
    resources:
        **computing_resources(mem_mb=memory(scoring, whole_score_settings), minutes=60),
    script:
        "../scripts/compute_score.py"
