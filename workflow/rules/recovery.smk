def settings_of_recovery(name):
    own = {key: value for key, value in config["recoveries"][name].items() if key not in TRIED}
    return own | plugin("recoveries", own["recovery"])


def recovery_settings(wildcards):
    """The settings of a chain's last link."""
    return settings_of_recovery(Job.parse(wildcards).link)


def recovery_files(wildcards):
    """The source's train images; its head, where labels are read, else the images beside; the weights to go on from,
    of the links before the last or of pruning in steps."""
    job, settings = Job.parse(wildcards), recovery_settings(wildcards)
    files = {"train": images(job.tuned_on, job.backbone, "train")}
    if NEEDS["recoveries"][settings["recovery"]]["labels"]:
        files["head"] = head(job.tuned_on, job.backbone)
    else:
        files["beside"] = beside(settings, job.tuned_on, job.backbone)
    if job.earlier:
        files["earlier"] = file(paths.RECOVERED, **dict(wildcards) | {"recovery": job.earlier})
    elif steps(job.score):
        files["earlier"] = file(paths.STEPPED, **wildcards)
    return files


def recovery_digest(wildcards):
    return code("recover", *modules("recoveries", recovery_settings(wildcards)["recovery"]))


rule recover:
    input:
        unpack(recovery_files),
        weights=dense_weights,
        mask=lambda wildcards: mask_file(wildcards.backbone, wildcards.criterion, wildcards.seed, wildcards.mask),
    output:
        intermediate("recovered", paths.RECOVERED),
    params:
        backbone=architecture,
        recovery=recovery_settings,
        code=recovery_digest,
    log:
        log_of(paths.RECOVERED),
    benchmark:
        costs_of(paths.RECOVERED)
    threads: config["threads"]
    resources:
        **computing_resources(mem_mb=memory(recovering, recovery_settings), minutes=240),
    script:
        "../scripts/recover.py"
