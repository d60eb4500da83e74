# Each figure is one module of prunetransfer.figures, drawn from tables alone; figures of one theme stand together.
DRAWN_FROM = {
    "safe": ["safe_sparsity", "accuracy", "predicted_safe"],
    "retention": ["accuracy"],
    "heatmap": ["accuracy"],
    "recoveries": ["accuracy"],
    "targets": ["accuracy"],
    "layers": ["layer_sparsity"],
}
if LANDSCAPE:
    DRAWN_FROM |= {"predictions": ["perturbations"], "loss_paths": ["paths"], "task_alignment": ["alignment"]}
if PRETRAINED:
    DRAWN_FROM |= {"pretraining": ["pretraining"]}
if several_pretrainings(PRETRAININGS):
    DRAWN_FROM |= {"pretrainings": ["pretrainings"]}
THEMES = {
    "safe": "How far",
    "retention": "How far",
    "recoveries": "Recoveries",
    "targets": "Recoveries",
}  # of the others: "What decides"
FIGURES = [RESULTS / f"figures/{figure}.{suffix}" for figure in DRAWN_FROM for suffix in ("png", "svg")]

for figure, drawn_from in DRAWN_FROM.items():

    rule:
        name:
            f"draw_{figure}"
        input:
            **{table: TABLES[table] for table in drawn_from},
        output:
            png=report(
                RESULTS / f"figures/{figure}.png",
                caption=f"../report/{figure}.rst",
                category="Figures",
                subcategory=THEMES.get(figure, "What decides"),
                labels={"figure": figure},
            ),
            svg=RESULTS / f"figures/{figure}.svg",
        params:
            figure=figure,
            code=code("draw_figure", f"figures.{figure}"),
        log:
            LOGS / f"figures/{figure}.log",
        benchmark:
            COSTS / f"figures/{figure}.tsv"
        localrule: True
        resources:
            **job(mem_mb=2000, minutes=10),
        script:
            "../scripts/draw_figure.py"
