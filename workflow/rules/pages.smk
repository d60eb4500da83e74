# What every page and `prunetransfer summary` answer from.
FINDINGS = {
    name: TABLES[name]
    for name in ("verdicts", "safe_sparsity", "retention", "dense", "pretrainings", "pretraining_comparisons")
}
PAGES = [RESULTS / page for page in ("overview.html", "verdicts.html", "verdicts.md")]


rule overview:
    input:
        **FINDINGS,
        costs=TABLES["costs"],
        figures=[
            file(paths.FIGURE, figure=name, suffix="png")
            for name in ("pretrainings", "safe", "targets")
            if name in DRAWN_FROM
        ],
    output:
        RESULTS / "overview.html",
    params:
        code=code("overview"),
    log:
        LOGS / "overview.log",
    benchmark:
        COSTS / "overview.tsv"
    localrule: True
    resources:
        **resources(mem_mb=2000, minutes=10),
    script:
        "../scripts/overview.py"


rule verdicts_page:
    input:
        **FINDINGS,
        **{name: TABLES[name] for name in ("intervals", "changes", "comparisons", "mask_overlap", "predicted_safe")},
    output:
        md=RESULTS / "verdicts.md",
        html=report(
            RESULTS / "verdicts.html",
            caption="../report/verdicts_page.rst",
            category="Verdicts",
            labels={"page": "verdicts"},
        ),
    params:
        code=code("verdicts_page"),
    log:
        LOGS / "verdicts_page.log",
    benchmark:
        COSTS / "verdicts_page.tsv"
    localrule: True
    resources:
        **resources(mem_mb=2000, minutes=10),
    script:
        "../scripts/verdicts_page.py"
