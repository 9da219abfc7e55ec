# What the gain cost: read off the run's own sidecars and Snakemake's benchmark files.


rule probe_cost:
    input:
        metrics=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/metrics.json",
        history=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/optimize.jsonl",
        # Not read: so that the benchmark files of these steps are there.
        analysed=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/anchoring.json",
        ladder=RUN.before_file("ladder.json"),
    output:
        f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/probes/cost.json",
    log:
        f"{RESULTS}/logs/probe_cost/{{dataset}}/{{model}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/probe_cost/{{dataset}}/{{model}}/seed{{seed}}.tsv"
    conda:
        "../../../environment.yml"
    threads: 1
    resources:
        **light(),
    params:
        cell=lambda wildcards: CONFIG.cell_flags(wildcards.dataset, wildcards.model, wildcards.seed),
        benchmarks=f"{RESULTS}/benchmarks",
    shell:
        "embedgrad probe cost {params.cell} --metrics {input.metrics:q} --history {input.history:q} --benchmarks {params.benchmarks:q}"
        " --out {output:q} > {log:q} 2>&1"
