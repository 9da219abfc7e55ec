# Optimise: Eq. 7 on the training half. The resume state is no output, so that a killed job continues where it was.


# Only where a task's target is own_chain: the model's right answers to the training items become their targets.
rule chains:
    input:
        model=RUN.model_folder,
        train=RUN.split_file("train.jsonl"),
    output:
        train=f"{RESULTS}/{{task}}/{{model}}/train.own_chain.jsonl",
        report=f"{RESULTS}/{{task}}/{{model}}/chains.json",
    log:
        f"{RESULTS}/logs/chains/{{task}}/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/chains/{{task}}/{{model}}.tsv"
    priority: TURN
    conda:
        "../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        **RUN.job_resources("chains"),
    params:
        model=lambda wildcards: CONFIG.model_flags(wildcards.model),
        prompt=lambda wildcards: CONFIG.prompt_flags(wildcards.task),
        decode=lambda wildcards: CONFIG.decode_flags(wildcards.task),
        grade=lambda wildcards: CONFIG.grade_flags(wildcards.task),
        state=RUN.answers_state("chains"),
    shell:
        "embedgrad chains {params.model} {params.prompt} {params.decode} {params.grade} --state {params.state:q} --threads {threads}"
        " --gpus {resources.gpu} --data {input.train:q} --out {output.train:q} --report {output.report:q} > {log:q} 2>&1"


rule optimize:
    input:
        model=RUN.model_folder,
        train=RUN.train_file,
        dev=RUN.split_file("dev.jsonl"),
    output:
        prompt=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/prompt.safetensors",
        history=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/optimize.jsonl",
        run=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/optimize.run.json",
    log:
        f"{RESULTS}/logs/optimize/{{dataset}}/{{model}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/optimize/{{dataset}}/{{model}}/seed{{seed}}.tsv"
    priority: TURN
    conda:
        "../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        **RUN.job_resources("optimize"),
    params:
        model=lambda wildcards: CONFIG.model_flags(wildcards.model),
        prompt=lambda wildcards: CONFIG.prompt_flags(RUN.task_of(wildcards)),
        settings=lambda wildcards: CONFIG.optimize_flags(wildcards.dataset, wildcards.model, wildcards.seed),
        decode=lambda wildcards: CONFIG.decode_flags(RUN.task_of(wildcards)),
        grade=lambda wildcards: CONFIG.grade_flags(RUN.task_of(wildcards)),
        state=lambda wildcards: f"{RESULTS}/resume/{wildcards.dataset}/{wildcards.model}/seed{wildcards.seed}.state",
    shell:
        "embedgrad optimize {params.model} {params.prompt} {params.settings} {params.decode} {params.grade}"
        " --threads {threads} --gpus {resources.gpu} --train {input.train:q} --dev {input.dev:q} --state {params.state:q}"
        " --out {output.prompt:q} --history {output.history:q} --run-info {output.run:q} > {log:q} 2>&1"
