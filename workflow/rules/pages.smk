PAGES = [RESULTS / page for page in ("overview.html", "verdicts.html", "verdicts.md")]


rule overview:
    input:
        verdicts=TABLES["verdicts"],
        safe_sparsity=TABLES["safe_sparsity"],
        costs=TABLES["costs"],
        figure=RESULTS / "figures/safe.png",
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
        **job(mem_mb=2000, minutes=10),
    script:
        "../scripts/overview.py"


rule verdicts_page:
    input:
        **{
            name: TABLES[name]
            for name in ("verdicts", "intervals", "changes", "comparisons", "safe_sparsity", "mask_overlap")
        },
        predicted_safe=TABLES["predicted_safe"],
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
        **job(mem_mb=2000, minutes=10),
    script:
        "../scripts/verdicts_page.py"
