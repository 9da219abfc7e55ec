# The figures, each as PNG and PDF. One command draws them all, so that one rule serves them all.

# What each is drawn from.
DRAWN_FROM = {
    "before_after": RUN.cell_files("metrics.json"),
    "training_curves": RUN.cell_files("optimize.jsonl") + RUN.cell_files("metrics.json"),
    "gain": RUN.cell_files("metrics.json"),
    "entropy": RUN.cell_files("metrics.json"),
    "ladder": f"{RESULTS}/ladder.csv",
    "limits": f"{RESULTS}/limits.csv",
    "anchoring": RUN.cell_files("anchoring.json"),
    "lat": RUN.cell_files("lat.json"),
}


for drawn, files in DRAWN_FROM.items():
    # As localrules and the profiles know them.
    named = drawn if "_" in drawn else f"{drawn}_figure"

    rule:
        name:
            named
        input:
            files,
        output:
            **figure(drawn),
        log:
            f"{RESULTS}/logs/{named}.log",
        benchmark:
            f"{RESULTS}/benchmarks/{named}.tsv"
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            **light(),
        params:
            cells=CONFIG.table_flags(),
            # Read off the output, and so none of the parameters whose change draws a figure again.
            name=lambda wildcards, output: Path(output.png).stem.replace("_", "-"),
        shell:
            "embedgrad figures {params.name} {params.cells} --png {output.png:q} --pdf {output.pdf:q} > {log:q} 2>&1"
