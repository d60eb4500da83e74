def images_settings(wildcards):
    settings = config["datasets"][wildcards.dataset]
    return {key: value for key, value in settings.items() if key != "head"} | plugin("datasets", settings["kind"])


rule prepare_images:
    input:
        lambda wildcards: list(download_records(wildcards.dataset)),
    output:
        train=intermediate("images", paths.IMAGES.replace("{split}", "train")),
        test=intermediate("images", paths.IMAGES.replace("{split}", "test")),
    params:
        dataset=images_settings,
        data_root=config["data_root"],
        code=lambda wildcards: code(
            "prepare_images", *modules("datasets", config["datasets"][wildcards.dataset]["kind"])
        ),
    log:
        log_of(paths.PREPARED),
    benchmark:
        costs_of(paths.PREPARED)
    threads: config["threads"]
    resources:
        **resources(mem_mb=4000, minutes=60),
    script:
        "../scripts/prepare_images.py"
