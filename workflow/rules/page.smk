# One page of the whole run; also where cells are missing, which it says.


rule report_page:
    input:
        metrics=RUN.cell_files("metrics.json"),
        histories=RUN.cell_files("optimize.jsonl"),
        tables=RUN.report_tables(),
    output:
        report(f"{RESULTS}/report.html", caption="../report/page.rst", category="Report"),
    log:
        f"{RESULTS}/logs/report_page.log",
    benchmark:
        f"{RESULTS}/benchmarks/report_page.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        cells=CONFIG.table_flags(),
        command=cell_command(workflow.configfiles),
    shell:
        "embedgrad report {params.cells} --command-line {params.command:q} --out {output:q} > {log:q} 2>&1"


rule gain_figure:
    input:
        metrics=RUN.cell_files("metrics.json"),
    output:
        png=report(f"{FIGURES}/gain.png", caption="../report/gain.rst", category="Figures"),
        pdf=report(f"{FIGURES}/gain.pdf", caption="../report/gain.rst", category="Figures"),
    log:
        f"{RESULTS}/logs/gain_figure.log",
    benchmark:
        f"{RESULTS}/benchmarks/gain_figure.tsv"
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
        "embedgrad figures gain {params.cells} --png {output.png:q} --pdf {output.pdf:q} > {log:q} 2>&1"


rule entropy_figure:
    input:
        metrics=RUN.cell_files("metrics.json"),
    output:
        png=report(f"{FIGURES}/entropy.png", caption="../report/entropy.rst", category="Figures"),
        pdf=report(f"{FIGURES}/entropy.pdf", caption="../report/entropy.rst", category="Figures"),
    log:
        f"{RESULTS}/logs/entropy_figure.log",
    benchmark:
        f"{RESULTS}/benchmarks/entropy_figure.tsv"
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
        "embedgrad figures entropy {params.cells} --png {output.png:q} --pdf {output.pdf:q} > {log:q} 2>&1"


rule ladder_figure:
    input:
        table=f"{RESULTS}/ladder.csv",
    output:
        png=report(f"{FIGURES}/ladder.png", caption="../report/ladder.rst", category="Figures"),
        pdf=report(f"{FIGURES}/ladder.pdf", caption="../report/ladder.rst", category="Figures"),
    log:
        f"{RESULTS}/logs/ladder_figure.log",
    benchmark:
        f"{RESULTS}/benchmarks/ladder_figure.tsv"
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
        "embedgrad figures ladder {params.cells} --png {output.png:q} --pdf {output.pdf:q} > {log:q} 2>&1"


rule limits_figure:
    input:
        table=f"{RESULTS}/limits.csv",
    output:
        png=report(f"{FIGURES}/limits.png", caption="../report/limits.rst", category="Figures"),
        pdf=report(f"{FIGURES}/limits.pdf", caption="../report/limits.rst", category="Figures"),
    log:
        f"{RESULTS}/logs/limits_figure.log",
    benchmark:
        f"{RESULTS}/benchmarks/limits_figure.tsv"
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
        "embedgrad figures limits {params.cells} --png {output.png:q} --pdf {output.pdf:q} > {log:q} 2>&1"
