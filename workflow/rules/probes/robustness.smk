# What the optimised prompt loses beside the text prompt where inputs or prompt are changed.


rule probe_robustness:
    input:
        model=RUN.model_folder,
        data=RUN.split_file("test.jsonl"),
        prompt=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/prompt.safetensors",
    output:
        f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/probes/robustness.json",
    log:
        f"{RESULTS}/logs/probe_robustness/{{dataset}}/{{model}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/probe_robustness/{{dataset}}/{{model}}/seed{{seed}}.tsv"
    group:
        "answers-{model}"
    conda:
        "../../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        **RUN.job_resources("probe_robustness"),
    params:
        size=CONFIG.size_flags("items", "answered"),
        model=lambda wildcards: CONFIG.model_flags(wildcards.model),
        level=lambda wildcards: CONFIG.level_flags(wildcards.dataset),
        decode=lambda wildcards: CONFIG.decode_flags(RUN.task_of(wildcards)),
        grade=lambda wildcards: CONFIG.grade_flags(RUN.task_of(wildcards)),
        state=RUN.answers_state("probe_robustness"),
    shell:
        "embedgrad probe robustness {params.model} {params.size} {params.level} {params.decode} {params.grade} --threads {threads} --gpus {resources.gpu}"
        " --prompt-file {input.prompt:q} --data {input.data:q} --state {params.state:q} --out {output:q} > {log:q} 2>&1"
