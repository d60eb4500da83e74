rule datasets:
    input:
        list(download_records(*config["datasets"])),


rule download_dataset:
    output:
        paths.DOWNLOAD,
    params:
        origin=lambda wildcards, output: download_records(*config["datasets"])[output[0]],
        code=lambda wildcards: code("download_dataset", module_of("datasets", wildcards.kind)),
    log:
        log_of(paths.DOWNLOAD),
    benchmark:
        costs_of(paths.DOWNLOAD)
    localrule: True
    resources:
        **resources(mem_mb=8000, minutes=240),
    script:
        "../scripts/download_dataset.py"
