# What a reader sees: Table 2 and the figures.


rule table2:
    input:
        metrics=RUN.cell_files("metrics.json"),
    output:
        csv=report(f"{RESULTS}/table2.csv", caption="../report/table2.rst", category="Table 2"),
        md=report(f"{RESULTS}/table2.md", caption="../report/table2.rst", category="Table 2"),
        tex=report(f"{RESULTS}/table2.tex", caption="../report/table2.rst", category="Table 2"),
    log:
        f"{RESULTS}/logs/table2.log",
    benchmark:
        f"{RESULTS}/benchmarks/table2.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        cells=CONFIG.table_flags(),
    shell:
        "embedgrad table2 {params.cells}"
        " --csv {output.csv:q} --markdown {output.md:q} --latex {output.tex:q} > {log:q} 2>&1"


rule before_after:
    input:
        metrics=RUN.cell_files("metrics.json"),
    output:
        png=report(f"{FIGURES}/before_after.png", caption="../report/before_after.rst", category="Figures"),
        pdf=report(f"{FIGURES}/before_after.pdf", caption="../report/before_after.rst", category="Figures"),
    log:
        f"{RESULTS}/logs/before_after.log",
    benchmark:
        f"{RESULTS}/benchmarks/before_after.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        cells=CONFIG.table_flags(),
    shell:
        "embedgrad figures before-after {params.cells}" " --png {output.png:q} --pdf {output.pdf:q} > {log:q} 2>&1"


rule training_curves:
    input:
        histories=RUN.cell_files("optimize.jsonl"),
        metrics=RUN.cell_files("metrics.json"),
    output:
        png=report(f"{FIGURES}/training_curves.png", caption="../report/training_curves.rst", category="Figures"),
        pdf=report(f"{FIGURES}/training_curves.pdf", caption="../report/training_curves.rst", category="Figures"),
    log:
        f"{RESULTS}/logs/training_curves.log",
    benchmark:
        f"{RESULTS}/benchmarks/training_curves.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        cells=CONFIG.table_flags(),
    shell:
        "embedgrad figures training-curves {params.cells}" " --png {output.png:q} --pdf {output.pdf:q} > {log:q} 2>&1"
