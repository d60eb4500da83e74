def source_files(wildcards):
    """What the criterion sees of its source: the train images, and the head where it sees labels."""
    job = Job.parse(wildcards)
    sees = seen_by(job.score)
    files = {"train": images(job.prune_source, wildcards.backbone, "train")} if sees else {}
    return files | ({"head": head(job.prune_source, wildcards.backbone)} if sees == "labels" else {})


def whole_score_settings(wildcards):
    return config["scores"][Job.parse(wildcards).score]


def score_settings(wildcards):
    settings = whole_score_settings(wildcards)
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
