# Section 5.4: learning rate × epochs. One job per learning rate trains to the last epoch; the shorter ones are read off its
# history. Only for the cells that the config's `sensitivity` names; on dev, never on test.


rule sensitivity:
    input:
        model=RUN.model_folder,
        train=RUN.split_file("train.jsonl"),
        dev=RUN.split_file("dev.jsonl"),
    output:
        prompt=f"{RESULTS}/sensitivity/{{dataset}}/{{model}}/lr{{rate}}/prompt.safetensors",
        history=f"{RESULTS}/sensitivity/{{dataset}}/{{model}}/lr{{rate}}/optimize.jsonl",
    log:
        f"{RESULTS}/logs/sensitivity/{{dataset}}/{{model}}/lr{{rate}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sensitivity/{{dataset}}/{{model}}/lr{{rate}}.tsv"
    conda:
        "../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        **RUN.job_resources("sensitivity"),
    params:
        model=lambda wildcards: CONFIG.model_flags(wildcards.model),
        prompt=lambda wildcards: CONFIG.prompt_flags(RUN.task_of(wildcards)),
        settings=lambda wildcards: CONFIG.sensitivity_flags(wildcards.dataset, wildcards.model, wildcards.rate),
        decode=lambda wildcards: CONFIG.decode_flags(RUN.task_of(wildcards)),
        grade=lambda wildcards: CONFIG.grade_flags(RUN.task_of(wildcards)),
        state=lambda wildcards: f"{RESULTS}/resume/sensitivity/{wildcards.dataset}/{wildcards.model}/{wildcards.rate}.state",
    shell:
        "embedgrad optimize {params.model} {params.prompt} {params.settings} {params.decode} {params.grade}"
        " --item-losses --threads {threads} --gpus {resources.gpu} --train {input.train:q} --dev {input.dev:q} --state {params.state:q}"
        " --out {output.prompt:q} --history {output.history:q} > {log:q} 2>&1"


rule sensitivity_table:
    input:
        histories=RUN.sweep_files("optimize.jsonl"),
    output:
        csv=f"{RESULTS}/sensitivity.csv",
        seal=f"{RESULTS}/sensitivity.csv.sha256",
        png=f"{FIGURES}/sensitivity.png",
        pdf=f"{FIGURES}/sensitivity.pdf",
    log:
        f"{RESULTS}/logs/sensitivity_table.log",
    benchmark:
        f"{RESULTS}/benchmarks/sensitivity_table.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **light(),
    params:
        folder=subpath(output.csv, strip_suffix=".csv"),
        epochs=(CONFIG.values.get("sensitivity") or {}).get("epochs", 0),
    shell:
        "embedgrad sensitivity --folder {params.folder:q} --epochs {params.epochs} --csv {output.csv:q} --png {output.png:q}"
        " --pdf {output.pdf:q} --histories {input.histories:q} > {log:q} 2>&1"
