# What a probe found of every cell, as a table and a figure.


rule probe_table:
    input:
        metrics=lambda wildcards: RUN.probed_metrics(wildcards.probe),
        found=lambda wildcards: RUN.probe_files(wildcards.probe),
    output:
        csv=f"{RESULTS}/probes/{{probe}}.csv",
        seal=f"{RESULTS}/probes/{{probe}}.csv.sha256",
        png=f"{FIGURES}/probe_{{probe}}.png",
        pdf=f"{FIGURES}/probe_{{probe}}.pdf",
    log:
        f"{RESULTS}/logs/probe_table/{{probe}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/probe_table/{{probe}}.tsv"
    wildcard_constraints:
        probe=one_of(CONFIG.values.get("probes", [])),
    conda:
        "../../../environment.yml"
    threads: 1
    resources:
        **light(),
    params:
        cells=CONFIG.table_flags(),
    shell:
        "embedgrad probe table {wildcards.probe} {params.cells} --csv {output.csv:q} --png {output.png:q} --pdf {output.pdf:q}"
        " > {log:q} 2>&1"


rule all_probes:
    input:
        RUN.probe_tables(),
