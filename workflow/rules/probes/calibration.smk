# How well label likelihoods rank, and how sure they may be taken. A model is loaded only where the task has a rewrite.


rule probe_calibration:
    input:
        model=RUN.model_folder,
        likelihood=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/likelihood.json",
        train=RUN.split_file("train.jsonl"),
        data=RUN.split_file("test.jsonl"),
    output:
        f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/probes/calibration.json",
    log:
        f"{RESULTS}/logs/probe_calibration/{{dataset}}/{{model}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/probe_calibration/{{dataset}}/{{model}}/seed{{seed}}.tsv"
    group:
        "answers-{model}"
    conda:
        "../../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        **RUN.job_resources("probe_calibration"),
    params:
        rewrite=lambda wildcards: CONFIG.rewrite_reading_flags(wildcards.dataset, wildcards.model),
        level=lambda wildcards: CONFIG.level_flags(wildcards.dataset),
    shell:
        "embedgrad probe calibration {params.rewrite} {params.level} --threads {threads} --gpus {resources.gpu}"
        " --likelihood {input.likelihood:q} --train {input.train:q} --data {input.data:q} --out {output:q} > {log:q} 2>&1"
