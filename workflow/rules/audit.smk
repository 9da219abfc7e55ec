# The published numbers by themselves, and the claims of Sections 4 and 5 held against the paper's table and this run.


rule audit:
    input:
        paper=brought("config/cells.tsv"),
        claims=brought("config/claims.tsv"),
        references=brought("config/references.tsv"),
        chance=brought("config/chance.tsv"),
        metrics=RUN.cell_files("metrics.json"),
        analyses=RUN.cell_files("anchoring.json") + RUN.cell_files("lat.json"),
        sweep=RUN.sweep_tables(),
        rivals=RUN.rival_tables(),
    output:
        multiext(f"{RESULTS}/audit", ".csv", ".csv.sha256", ".md"),
        multiext(f"{RESULTS}/claims", ".csv", ".csv.sha256", ".md"),
    log:
        f"{RESULTS}/logs/audit.log",
    benchmark:
        f"{RESULTS}/benchmarks/audit.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **light(),
    params:
        cells=CONFIG.table_flags(),
        folder=subpath(output[0], parent=True),
    shell:
        "embedgrad audit --paper-table {input.paper:q} --claims {input.claims:q} --references {input.references:q} --chance {input.chance:q}"
        " {params.cells} --out-folder {params.folder:q} > {log:q} 2>&1"
