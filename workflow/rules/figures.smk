from prunetransfer.figures import tables_read

# Each figure is one module of prunetransfer.figures, drawn from tables alone, where the study has them; figures of one
# theme stand together.
DRAWN_FROM = {figure: tables for figure, tables in tables_read().items() if set(tables) <= TABLES.keys()}
if not several_pretrainings(PRETRAININGS):
    del DRAWN_FROM["pretrainings"]
THEMES = {
    "safe": "How far",
    "retention": "How far",
    "recoveries": "Recoveries",
    "targets": "Recoveries",
    "efficiency": "How far",
}  # of the others: "What decides"
FIGURES = [file(paths.FIGURE, figure=figure, suffix=suffix) for figure in DRAWN_FROM for suffix in ("png", "svg")]

for figure, drawn_from in DRAWN_FROM.items():

    rule:
        name:
            f"draw_{figure}"
        input:
            **{table: TABLES[table] for table in drawn_from},
        output:
            png=report(
                file(paths.FIGURE, figure=figure, suffix="png"),
                caption=f"../report/figures/{figure}.rst",
                category="Figures",
                subcategory=THEMES.get(figure, "What decides"),
                labels={"figure": figure},
            ),
            svg=file(paths.FIGURE, figure=figure, suffix="svg"),
        params:
            figure=figure,
            code=code("draw_figure", f"figures.{figure}"),
        log:
            LOGS / f"figures/{figure}.log",
        benchmark:
            COSTS / f"figures/{figure}.tsv"
        localrule: True
        resources:
            **resources(mem_mb=2000, minutes=10),
        script:
            "../scripts/draw_figure.py"
