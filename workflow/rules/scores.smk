def source_files(wildcards):
    """The head and the train images of the criterion's source; nothing for a data-free criterion."""
    source = Job.parse(wildcards).prune_source
    if source is None:
        return {}
    return {"head": head(source, wildcards.backbone), "train": images(source, wildcards.backbone, "train")}


def whole_score_settings(wildcards):
    return config["scores"][Job.parse(wildcards).score]


def structure_read(wildcards):
    return structure(Job.parse(wildcards).score)


def score_settings(wildcards):
    """The entry of a criterion's score; sparsities, which are mostly the study's, only where its damping is chosen by them."""
    settings = whole_score_settings(wildcards)
    unread = () if settings.get("damping") == "auto" else ("damping_sparsities",)
    return {key: value for key, value in settings.items() if key not in unread} | plugin("scores", settings["score"])


def score_digest(wildcards):
    function, reads = score_function(Job.parse(wildcards).score), structure_read(wildcards)
    curvature = [f"criteria.{reads}"] if reads else []
    return code("compute_score", *modules("scores", function), *curvature, entry=function)


rule compute_score:
    input:
        unpack(source_files),
        weights=dense_weights,
    output:
        intermediate("scores", paths.SCORE),
    params:
        backbone=architecture,
        score=score_settings,
        code=score_digest,
    log:
        log_of(paths.SCORE),
    benchmark:
        costs_of(paths.SCORE)
    threads: config["threads"]
    resources:
        **computing_resources(mem_mb=memory(scoring, structure_read, whole_score_settings), minutes=60),
    script:
        "../scripts/compute_score.py"
