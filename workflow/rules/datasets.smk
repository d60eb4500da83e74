rule datasets:
    input:
        list(download_records(*config["datasets"])),


rule download_dataset:
    output:
        DOWNLOADS / "{kind}/{files}.json",
    params:
        origin=lambda wildcards, output: download_records(*config["datasets"])[output[0]],
        code=lambda wildcards: code("download_dataset", module_of("datasets", wildcards.kind)),
    log:
        LOGS / "datasets/{kind}/{files}.log",
    benchmark:
        COSTS / "datasets/{kind}/{files}.tsv"
    localrule: True
    resources:
        **job(mem_mb=8000, minutes=240),
    script:
        "../scripts/download_dataset.py"
