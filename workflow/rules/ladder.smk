# The ladder of baselines (once per task and model), and the tables over all analyses.


rule ladder:
    input:
        model=model_folder,
        data=split_file("test.jsonl"),
        train=split_file("train.jsonl"),
    output:
        f"{RESULTS}/{{task}}/{{model}}/ladder.json",
    log:
        f"{RESULTS}/logs/ladder/{{task}}/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/ladder/{{task}}/{{model}}.tsv"
    conda:
        "../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        gpu=job_resource("gpu"),
        mem_mb=job_resource("mem_mb"),
        runtime=job_resource("runtime"),
    params:
        model=lambda wildcards: CONFIG.model_flags(wildcards.model),
        prompt=lambda wildcards: CONFIG.prompt_flags(wildcards.task),
        decode=lambda wildcards: CONFIG.decode_flags(wildcards.task),
        grade=lambda wildcards: CONFIG.grade_flags(wildcards.task),
    shell:
        "embedgrad ladder {params.model} {params.prompt} {params.decode} {params.grade} --threads {threads}"
        " --data {input.data:q} --train {input.train:q} --out {output:q} > {log:q} 2>&1"


rule summary:
    input:
        ladders=task_files("ladder.json"),
        analyses=cell_files("anchoring.json") + cell_files("lat.json") + cell_files("entropy.json"),
        metrics=cell_files("metrics.json"),
    output:
        ladder=f"{RESULTS}/ladder.csv",
        prompts=f"{RESULTS}/prompts.csv",
        correlation=f"{RESULTS}/correlation.csv",
    log:
        f"{RESULTS}/logs/summary.log",
    benchmark:
        f"{RESULTS}/benchmarks/summary.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=10,
    params:
        cells=CONFIG.table_flags(),
    shell:
        "embedgrad summary {params.cells} --ladder {output.ladder:q} --prompts {output.prompts:q}"
        " --correlation {output.correlation:q} > {log:q} 2>&1"
