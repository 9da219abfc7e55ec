# Metrics: one file per cell and seed, from the graded answers before and after.


rule metrics:
    input:
        split=RUN.split_file("split.json"),
        test=RUN.split_file("test.jsonl"),
        before=RUN.before_file("before.jsonl"),
        before_run=RUN.before_file("before.run.json"),
        after=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/after.jsonl",
        after_run=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/after.run.json",
        history=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/optimize.jsonl",
        optimize_run=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/optimize.run.json",
        prompt=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/prompt.safetensors",
    output:
        f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/metrics.json",
    log:
        f"{RESULTS}/logs/metrics/{{dataset}}/{{model}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/metrics/{{dataset}}/{{model}}/seed{{seed}}.tsv"
    group:
        "answers-{model}"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **light(),
    params:
        cell=lambda wildcards: CONFIG.cell_flags(wildcards.dataset, wildcards.model, wildcards.seed),
    shell:
        "embedgrad metrics {params.cell} --split {input.split:q} --test {input.test:q}"
        " --before {input.before:q} --before-run {input.before_run:q}"
        " --after {input.after:q} --after-run {input.after_run:q}"
        " --prompt {input.prompt:q} --history {input.history:q} --optimize-run {input.optimize_run:q} --out {output:q} > {log:q} 2>&1"


# A run whose answers are read by another one's probe of splits needs no more: no ladder, no analyses, no page.
rule all_metrics:
    input:
        RUN.cell_files("metrics.json"),
