# What a single split's result is worth: the answers of this run beside those of the runs that `split_runs` names.


rule probe_variance:
    input:
        # Of other runs, whose rules are not here, they must be there.
        RUN.split_files,
    output:
        f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/probes/variance.json",
    log:
        f"{RESULTS}/logs/probe_variance/{{dataset}}/{{model}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/probe_variance/{{dataset}}/{{model}}/seed{{seed}}.tsv"
    conda:
        "../../../environment.yml"
    threads: 1
    resources:
        **light(),
    params:
        cell=lambda wildcards: CONFIG.cell_flags(wildcards.dataset, wildcards.model, wildcards.seed),
        results=[f"results/{run}" for run in RUN.split_runs],
    shell:
        "embedgrad probe variance {params.cell} --results {params.results:q} --out {output:q} > {log:q} 2>&1"
