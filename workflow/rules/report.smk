# What a reader sees: Table 2, and one page of the whole run; that also where cells are missing, which it says.


rule table2:
    input:
        metrics=RUN.cell_files("metrics.json"),
        references=brought("config/references.tsv"),
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
        **light(),
    params:
        cells=CONFIG.table_flags(),
    shell:
        "embedgrad table2 {params.cells} --references {input.references:q}"
        " --csv {output.csv:q} --markdown {output.md:q} --latex {output.tex:q} > {log:q} 2>&1"


rule report_page:
    input:
        metrics=RUN.cell_files("metrics.json"),
        histories=RUN.cell_files("optimize.jsonl"),
        tables=RUN.report_tables(),
        probes=[file for name in CONFIG.values.get("probes", []) for file in RUN.probe_files(name)],
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
        **light(minutes=20),
    params:
        cells=CONFIG.table_flags(),
        command=cell_command(workflow.configfiles),
    shell:
        "embedgrad report {params.cells} --command-line {params.command:q} --out {output:q} > {log:q} 2>&1"
