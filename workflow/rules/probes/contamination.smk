# Whether the untouched model knows the test inputs by heart.


rule probe_contamination:
    input:
        model=RUN.model_folder,
        data=RUN.split_file("test.jsonl"),
        train=RUN.split_file("train.jsonl"),
        dev=RUN.split_file("dev.jsonl"),
    output:
        f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/probes/contamination.json",
    log:
        f"{RESULTS}/logs/probe_contamination/{{dataset}}/{{model}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/probe_contamination/{{dataset}}/{{model}}/seed{{seed}}.tsv"
    group:
        "answers-{model}"
    conda:
        "../../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        **RUN.job_resources("probe_contamination"),
    params:
        size=CONFIG.size_flags("items", "texts"),
        model=lambda wildcards: CONFIG.model_flags(wildcards.model),
        level=lambda wildcards: CONFIG.level_flags(wildcards.dataset),
        task=RUN.task_of,
    shell:
        "embedgrad probe contamination {params.model} {params.size} {params.level} --task {params.task} --threads {threads} --gpus {resources.gpu}"
        " --data {input.data:q} --known {input.train:q} {input.dev:q} --out {output:q} > {log:q} 2>&1"
