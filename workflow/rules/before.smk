# Before: the text prompt's own embeddings, decoded once per (task, model); levels and seeds are views of it.


rule before:
    input:
        model=RUN.model_folder,
        data=RUN.split_file("test.jsonl"),
    output:
        answers=f"{RESULTS}/{{task}}/{{model}}/before.outputs.jsonl",
        run=f"{RESULTS}/{{task}}/{{model}}/before.run.json",
    log:
        f"{RESULTS}/logs/before/{{task}}/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/before/{{task}}/{{model}}.tsv"
    wildcard_constraints:
        task=RUN.tasks_pattern(sharded=False),
    priority: TURN
    group:
        "text-{model}"
    conda:
        "../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        **RUN.job_resources("before"),
    params:
        model=lambda wildcards: CONFIG.model_flags(wildcards.model),
        prompt=lambda wildcards: CONFIG.prompt_flags(wildcards.task),
        decode=lambda wildcards: CONFIG.decode_flags(wildcards.task),
        shard=shard_flag,
        state=RUN.answers_state("before"),
    shell:
        "embedgrad decode {params.model} {params.prompt} {params.decode} {params.shard} --state {params.state:q} --threads {threads} --gpus {resources.gpu}"
        " --data {input.data:q} --out {output.answers:q} --run-info {output.run:q} > {log:q} 2>&1"


use rule before as before_shard with:
    output:
        answers=temp(f"{RESULTS}/{{task}}/{{model}}/shards/before.{{scatteritem}}.outputs.jsonl"),
        run=temp(f"{RESULTS}/{{task}}/{{model}}/shards/before.{{scatteritem}}.run.json"),
    log:
        f"{RESULTS}/logs/before/{{task}}/{{model}}.{{scatteritem}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/before/{{task}}/{{model}}.{{scatteritem}}.tsv"
    wildcard_constraints:
        task=RUN.tasks_pattern(sharded=True),
    group:
        "shards"  # one job each, as they do not meet; None would leave them in the group of the rule above


rule gather_before:
    input:
        data=RUN.split_file("test.jsonl"),
        answers=shard_files(f"{RESULTS}/{{task}}/{{model}}/shards/before.{{scatteritem}}.outputs.jsonl"),
        runs=shard_files(f"{RESULTS}/{{task}}/{{model}}/shards/before.{{scatteritem}}.run.json"),
    output:
        answers=f"{RESULTS}/{{task}}/{{model}}/before.outputs.jsonl",
        run=f"{RESULTS}/{{task}}/{{model}}/before.run.json",
    log:
        f"{RESULTS}/logs/gather_before/{{task}}/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/gather_before/{{task}}/{{model}}.tsv"
    wildcard_constraints:
        task=RUN.tasks_pattern(sharded=True),
    group:
        "text-{model}"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **light(),
    shell:
        "embedgrad gather --data {input.data:q} --outputs {input.answers:q} --runs {input.runs:q}"
        " --out {output.answers:q} --run-info {output.run:q} > {log:q} 2>&1"


rule grade_before:
    input:
        data=RUN.split_file("test.jsonl"),
        answers=f"{RESULTS}/{{task}}/{{model}}/before.outputs.jsonl",
    output:
        f"{RESULTS}/{{task}}/{{model}}/before.jsonl",
    log:
        f"{RESULTS}/logs/grade_before/{{task}}/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/grade_before/{{task}}/{{model}}.tsv"
    group:
        "text-{model}"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **light(minutes=30),
    params:
        grade=lambda wildcards: CONFIG.grade_flags(RUN.task_of(wildcards)),
    shell:
        "embedgrad grade {params.grade} --data {input.data:q} --outputs {input.answers:q}"
        " --out {output:q} > {log:q} 2>&1"
