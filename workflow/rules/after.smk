# After: the optimised vectors in the prompt's place. The only stage that opens the test split for them.


rule after:
    input:
        model=RUN.model_folder,
        data=RUN.split_file("test.jsonl"),
        prompt=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/prompt.safetensors",
    output:
        answers=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/after.outputs.jsonl",
        run=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/after.run.json",
    log:
        f"{RESULTS}/logs/after/{{dataset}}/{{model}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/after/{{dataset}}/{{model}}/seed{{seed}}.tsv"
    wildcard_constraints:
        dataset=RUN.datasets_pattern(sharded=False),
    priority: TURN
    group:
        "answers-{model}"
    conda:
        "../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        **RUN.job_resources("after"),
    params:
        model=lambda wildcards: CONFIG.model_flags(wildcards.model),
        level=lambda wildcards: CONFIG.level_flags(wildcards.dataset),
        decode=lambda wildcards: CONFIG.decode_flags(RUN.task_of(wildcards)),
        shard=shard_flag,
        state=RUN.answers_state("after"),
    shell:
        "embedgrad decode {params.model} {params.level} {params.decode} {params.shard} --state {params.state:q} --threads {threads} --gpus {resources.gpu}"
        " --prompt-file {input.prompt:q} --data {input.data:q} --out {output.answers:q}"
        " --run-info {output.run:q} > {log:q} 2>&1"


use rule after as after_shard with:
    output:
        answers=temp(f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/shards/after.{{scatteritem}}.outputs.jsonl"),
        run=temp(f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/shards/after.{{scatteritem}}.run.json"),
    log:
        f"{RESULTS}/logs/after/{{dataset}}/{{model}}/seed{{seed}}.{{scatteritem}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/after/{{dataset}}/{{model}}/seed{{seed}}.{{scatteritem}}.tsv"
    wildcard_constraints:
        dataset=RUN.datasets_pattern(sharded=True),
    group:
        "shards"  # one job each, as they do not meet; None would leave them in the group of the rule above


rule gather_after:
    input:
        data=RUN.split_file("test.jsonl"),
        answers=shard_files(f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/shards/after.{{scatteritem}}.outputs.jsonl"),
        runs=shard_files(f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/shards/after.{{scatteritem}}.run.json"),
    output:
        answers=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/after.outputs.jsonl",
        run=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/after.run.json",
    log:
        f"{RESULTS}/logs/gather_after/{{dataset}}/{{model}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/gather_after/{{dataset}}/{{model}}/seed{{seed}}.tsv"
    wildcard_constraints:
        dataset=RUN.datasets_pattern(sharded=True),
    group:
        "answers-{model}"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **light(),
    params:
        level=lambda wildcards: CONFIG.level_flags(wildcards.dataset),
    shell:
        "embedgrad gather {params.level} --data {input.data:q} --outputs {input.answers:q} --runs {input.runs:q}"
        " --out {output.answers:q} --run-info {output.run:q} > {log:q} 2>&1"


use rule grade_before as grade_after with:
    input:
        data=RUN.split_file("test.jsonl"),
        answers=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/after.outputs.jsonl",
    output:
        f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/after.jsonl",
    log:
        f"{RESULTS}/logs/grade_after/{{dataset}}/{{model}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/grade_after/{{dataset}}/{{model}}/seed{{seed}}.tsv"
    group:
        "answers-{model}"
