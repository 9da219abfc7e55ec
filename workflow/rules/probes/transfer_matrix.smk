# The optimised prompt on the test items of every task of its model: a row of the matrix.


rule probe_transfer_matrix:
    input:
        model=RUN.model_folder,
        data=RUN.asked_tasks,
        prompt=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/prompt.safetensors",
    output:
        f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/probes/transfer_matrix.json",
    log:
        f"{RESULTS}/logs/probe_transfer_matrix/{{dataset}}/{{model}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/probe_transfer_matrix/{{dataset}}/{{model}}/seed{{seed}}.tsv"
    group:
        "answers-{model}"
    conda:
        "../../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        **RUN.job_resources("probe_transfer_matrix"),
    params:
        size=CONFIG.size_flags("items", "answered"),
        model=lambda wildcards: CONFIG.model_flags(wildcards.model),
        decode=lambda wildcards: CONFIG.decode_flags(RUN.task_of(wildcards)),
        asked=lambda wildcards: CONFIG.asked_flags(wildcards.model),
        state=RUN.answers_state("probe_transfer_matrix"),
    shell:
        "embedgrad probe transfer_matrix {params.model} {params.size} {params.decode} {params.asked} --threads {threads} --gpus {resources.gpu}"
        " --prompt-file {input.prompt:q} --state {params.state:q} --out {output:q} > {log:q} 2>&1"
