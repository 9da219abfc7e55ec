# Where overfitting starts: a run of its own over 20 epochs, each read on dev and test. About twice as dear as an optimisation.


rule probe_trajectory:
    input:
        model=RUN.model_folder,
        train=RUN.train_file,
        dev=RUN.split_file("dev.jsonl"),
        data=RUN.split_file("test.jsonl"),
    output:
        found=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/probes/trajectory.json",
    log:
        f"{RESULTS}/logs/probe_trajectory/{{dataset}}/{{model}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/probe_trajectory/{{dataset}}/{{model}}/seed{{seed}}.tsv"
    conda:
        "../../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        **RUN.job_resources("probe_trajectory"),
    params:
        model=lambda wildcards: CONFIG.model_flags(wildcards.model),
        prompt=lambda wildcards: CONFIG.prompt_flags(RUN.task_of(wildcards)),
        settings=lambda wildcards: CONFIG.trajectory_flags(wildcards.dataset, wildcards.model, wildcards.seed),
        grade=lambda wildcards: CONFIG.grade_flags(RUN.task_of(wildcards)),
        state=RUN.answers_state("probe_trajectory"),
    shell:
        "embedgrad probe trajectory {params.model} {params.prompt} {params.settings} {params.grade} --state {params.state:q}"
        " --threads {threads} --gpus {resources.gpu} --train {input.train:q} --dev {input.dev:q} --data {input.data:q}"
        " --out {output.found:q} > {log:q} 2>&1"
