# Format or knowledge: the cell's own optimisation once more, on targets that are shuffled among the items. Each dealing takes as long as the optimisation.


rule probe_shuffled:
    input:
        model=RUN.model_folder,
        train=RUN.train_file,
        dev=RUN.split_file("dev.jsonl"),
        data=RUN.split_file("test.jsonl"),
        prompt=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/prompt.safetensors",
        before=RUN.before_file("before.jsonl"),
        after=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/after.jsonl",
    output:
        found=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/probes/shuffled.json",
    log:
        f"{RESULTS}/logs/probe_shuffled/{{dataset}}/{{model}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/probe_shuffled/{{dataset}}/{{model}}/seed{{seed}}.tsv"
    conda:
        "../../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        **RUN.job_resources("probe_shuffled"),
    params:
        model=lambda wildcards: CONFIG.model_flags(wildcards.model),
        level=lambda wildcards: CONFIG.level_flags(wildcards.dataset),
        decode=lambda wildcards: CONFIG.decode_flags(RUN.task_of(wildcards)),
        grade=lambda wildcards: CONFIG.grade_flags(RUN.task_of(wildcards)),
        dealings=CONFIG.size_flags("dealings", "dealings"),
        state=RUN.answers_state("probe_shuffled"),
    shell:
        "embedgrad probe shuffled {params.model} {params.level} {params.decode} {params.grade} {params.dealings} --state {params.state:q}"
        " --threads {threads} --gpus {resources.gpu} --prompt-file {input.prompt:q} --train {input.train:q} --dev {input.dev:q}"
        " --data {input.data:q} --before {input.before:q} --after {input.after:q} --out {output.found:q} > {log:q} 2>&1"
