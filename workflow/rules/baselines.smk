# What needs no optimised prompt (ladder of baselines, protocol recovery), and the tables over all analyses.


rule baselines:
    input:
        model=RUN.model_folder,
        data=RUN.split_file("test.jsonl"),
        train=RUN.split_file("train.jsonl"),
        dev=RUN.split_file("dev.jsonl"),
        edition=RUN.edition_file,
    output:
        ladder=f"{RESULTS}/{{task}}/{{model}}/ladder.json",
        answers=f"{RESULTS}/{{task}}/{{model}}/ladder.jsonl",
        recovery=f"{RESULTS}/{{task}}/{{model}}/recovery.json",
    log:
        f"{RESULTS}/logs/baselines/{{task}}/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/baselines/{{task}}/{{model}}.tsv"
    wildcard_constraints:
        task=RUN.tasks_pattern(sharded=False),
    priority: TURN
    conda:
        "../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        **RUN.job_resources("baselines"),
    params:
        model=lambda wildcards: CONFIG.model_flags(wildcards.model),
        prompt=lambda wildcards: CONFIG.prompt_flags(wildcards.task),
        decode=lambda wildcards: CONFIG.decode_flags(wildcards.task),
        rewrite=lambda wildcards: CONFIG.baselines_flags(wildcards.task),
        grade=lambda wildcards: CONFIG.grade_flags(wildcards.task),
        shard=shard_flag,
        state=RUN.answers_state("baselines"),
    shell:
        "embedgrad baselines {params.model} {params.prompt} {params.rewrite} {params.decode} {params.grade} {params.shard} --state {params.state:q} --threads {threads} --gpus {resources.gpu}"
        " --data {input.data:q} --dev {input.dev:q} --train {input.train:q} --ladder {output.ladder:q} --answers {output.answers:q}"
        " --recovery {output.recovery:q} > {log:q} 2>&1"


use rule baselines as baselines_shard with:
    output:
        ladder=temp(f"{RESULTS}/{{task}}/{{model}}/shards/{{scatteritem}}.ladder.json"),
        answers=temp(f"{RESULTS}/{{task}}/{{model}}/shards/{{scatteritem}}.ladder.jsonl"),
        recovery=temp(f"{RESULTS}/{{task}}/{{model}}/shards/{{scatteritem}}.recovery.json"),
    log:
        f"{RESULTS}/logs/baselines/{{task}}/{{model}}.{{scatteritem}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/baselines/{{task}}/{{model}}.{{scatteritem}}.tsv"
    wildcard_constraints:
        task=RUN.tasks_pattern(sharded=True),


rule gather_baselines:
    input:
        ladders=shard_files(f"{RESULTS}/{{task}}/{{model}}/shards/{{scatteritem}}.ladder.json"),
        answers=shard_files(f"{RESULTS}/{{task}}/{{model}}/shards/{{scatteritem}}.ladder.jsonl"),
        recoveries=shard_files(f"{RESULTS}/{{task}}/{{model}}/shards/{{scatteritem}}.recovery.json"),
    output:
        ladder=f"{RESULTS}/{{task}}/{{model}}/ladder.json",
        answers=f"{RESULTS}/{{task}}/{{model}}/ladder.jsonl",
        recovery=f"{RESULTS}/{{task}}/{{model}}/recovery.json",
    log:
        f"{RESULTS}/logs/gather_baselines/{{task}}/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/gather_baselines/{{task}}/{{model}}.tsv"
    wildcard_constraints:
        task=RUN.tasks_pattern(sharded=True),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **light(),
    shell:
        "embedgrad gather-baselines --ladders {input.ladders:q} --recoveries {input.recoveries:q} --answers {input.answers:q}"
        " --ladder {output.ladder:q} --ladder-answers {output.answers:q} --recovery {output.recovery:q} > {log:q} 2>&1"


rule summary:
    input:
        baselines=RUN.task_files("ladder.json") + RUN.task_files("recovery.json"),
        analyses=RUN.cell_files("anchoring.json")
        + RUN.cell_files("lat.json")
        + RUN.cell_files("entropy.json")
        + RUN.cell_files("likelihood.json")
        + RUN.cell_files("limits.json"),
        metrics=RUN.cell_files("metrics.json"),
    output:
        ladder=f"{RESULTS}/ladder.csv",
        against_best=f"{RESULTS}/against_best.md",
        prompts=f"{RESULTS}/prompts.csv",
        correlation=f"{RESULTS}/correlation.csv",
        recovery=f"{RESULTS}/recovery.csv",
        recovery_axes=f"{RESULTS}/recovery_axes.csv",
        spread=f"{RESULTS}/spread.csv",
        limits=f"{RESULTS}/limits.csv",
        seals=expand(
            f"{RESULTS}/{{name}}.csv.sha256",
            name=["ladder", "prompts", "correlation", "recovery", "recovery_axes", "spread", "limits"],
        ),
    log:
        f"{RESULTS}/logs/summary.log",
    benchmark:
        f"{RESULTS}/benchmarks/summary.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **light(),
    params:
        cells=CONFIG.table_flags(),
    shell:
        "embedgrad summary {params.cells} --ladder {output.ladder:q} --against-best {output.against_best:q} --prompts {output.prompts:q}"
        " --correlation {output.correlation:q} --recovery {output.recovery:q} --recovery-axes {output.recovery_axes:q}"
        " --spread {output.spread:q} --limits {output.limits:q} > {log:q} 2>&1"
