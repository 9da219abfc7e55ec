# What the optimised vectors are (Section 5.1), how sure they make the model (5.2) and what they activate (5.3, Figure 3).


rule analyse:
    input:
        model=RUN.model_folder,
        dev=RUN.split_file("dev.jsonl"),
        test=RUN.split_file("test.jsonl"),
        stimuli=brought("config/lat_stimuli.jsonl"),
        prompt=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/prompt.safetensors",
        before=RUN.before_file("before.outputs.jsonl"),
        after=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/after.outputs.jsonl",
    output:
        f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/anchoring.json",
        f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/lat.json",
        f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/entropy.json",
        f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/likelihood.json",
        f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/limits.json",
    log:
        f"{RESULTS}/logs/analyse/{{dataset}}/{{model}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/analyse/{{dataset}}/{{model}}/seed{{seed}}.tsv"
    priority: TURN
    group:
        "answers-{model}"
    conda:
        "../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        **RUN.job_resources("analyse"),
    params:
        model=lambda wildcards: CONFIG.model_flags(wildcards.model),
        level=lambda wildcards: CONFIG.level_flags(wildcards.dataset),
        decode=lambda wildcards: CONFIG.analysis_flags(RUN.task_of(wildcards)),
        grade=lambda wildcards: CONFIG.grade_flags(RUN.task_of(wildcards)),
        folder=lambda wildcards, output: Path(output[0]).parent,
    shell:
        "embedgrad analyse {params.model} {params.level} {params.decode} {params.grade} --threads {threads} --gpus {resources.gpu}"
        " --prompt-file {input.prompt:q} --dev {input.dev:q} --test {input.test:q} --stimuli {input.stimuli:q}"
        " --before {input.before:q} --after {input.after:q} --out-folder {params.folder:q} > {log:q} 2>&1"
