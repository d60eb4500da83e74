rule prepare_images:
    input:
        lambda wildcards: list(download_records(wildcards.dataset)),
    output:
        train=intermediate("images", RESULTS / "images/{dataset}-{size}-{interpolation}-{crop}/train.safetensors"),
        test=intermediate("images", RESULTS / "images/{dataset}-{size}-{interpolation}-{crop}/test.safetensors"),
    params:
        dataset=images_settings,
        data_root=config["data_root"],
        code=lambda wildcards: code(
            "prepare_images", *modules("datasets", config["datasets"][wildcards.dataset]["kind"])
        ),
    log:
        LOGS / "images/{dataset}-{size}-{interpolation}-{crop}.log",
    benchmark:
        COSTS / "images/{dataset}-{size}-{interpolation}-{crop}.tsv"
    threads: config["threads"]
    resources:
        **job(mem_mb=4000, minutes=60),
    script:
        "../scripts/prepare_images.py"
