# What is left of a gain on another model and in words, over all cells.


rule carry_table:
    input:
        found=lambda wildcards: getattr(RUN, {"transfer": "transfers"}.get(wildcards.table, wildcards.table))(),
    output:
        csv=f"{RESULTS}/carry/{{table}}.csv",
        seal=f"{RESULTS}/carry/{{table}}.csv.sha256",
        md=f"{RESULTS}/carry/{{table}}.md",
        png=f"{FIGURES}/carry_{{table}}.png",
        pdf=f"{FIGURES}/carry_{{table}}.pdf",
    log:
        f"{RESULTS}/logs/carry_table/{{table}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/carry_table/{{table}}.tsv"
    wildcard_constraints:
        table="transfer|words",
    conda:
        "../../../environment.yml"
    threads: 1
    resources:
        **light(),
    shell:
        "embedgrad carried {wildcards.table} --found {input.found:q} --csv {output.csv:q} --md {output.md:q}"
        " --png {output.png:q} --pdf {output.pdf:q} > {log:q} 2>&1"
