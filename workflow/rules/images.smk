def with_plugins(entry):
    """An entry of a dataset, with what a job must know of the user's own kinds in it."""
    if "parts" in entry:
        return entry | {"parts": {name: with_plugins(part) for name, part in entry["parts"].items()}}
    return entry | plugin("datasets", entry["kind"])


def images_settings(wildcards):
    entry = config["datasets"][wildcards.dataset]
    return with_plugins({key: value for key, value in entry.items() if key != "head"})


def images_digest(wildcards):
    kinds = dict.fromkeys(entry["kind"] for entry in without_parts(config["datasets"][wildcards.dataset]))
    return code("prepare_images", *(module for kind in kinds for module in modules("datasets", kind)))


rule prepare_images:
    input:
        lambda wildcards: list(download_records(wildcards.dataset)),
    output:
        train=intermediate("images", paths.IMAGES.replace("{split}", "train")),
        test=intermediate("images", paths.IMAGES.replace("{split}", "test")),
    params:
        dataset=images_settings,
        data_root=config["data_root"],
        code=images_digest,
    log:
        log_of(paths.PREPARED),
    benchmark:
        costs_of(paths.PREPARED)
    threads: config["threads"]
    resources:
        **resources(mem_mb=4000, minutes=60),
    script:
        "../scripts/prepare_images.py"
