# An optimised prompt on another model, and on its own, where all of its gain must be left.
CARRIED = f"{RESULTS}/carry/{{dataset}}/{{model}}"


rule carry_transfer:
    input:
        model=RUN.model_folder,
        source=RUN.source_folder,
        prompt=RUN.source_prompt,
        own=RUN.own_prompt,
        train=RUN.split_file("train.jsonl"),
        dev=RUN.split_file("dev.jsonl"),
        test=RUN.split_file("test.jsonl"),
    output:
        prompt=f"{CARRIED}/from/{{source}}/prompt.safetensors",
        report=f"{CARRIED}/from/{{source}}/transfer.json",
    log:
        f"{RESULTS}/logs/carry_transfer/{{dataset}}/{{model}}/{{source}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/carry_transfer/{{dataset}}/{{model}}/{{source}}.tsv"
    wildcard_constraints:
        source=one_of(CONFIG.values["models"]),
    conda:
        "../../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        **RUN.job_resources("carry_transfer"),
    params:
        flags=lambda wildcards: CONFIG.carry_flags(wildcards.dataset, wildcards.source, wildcards.model),
        state=RUN.answers_state("carry_transfer"),
    shell:
        "embedgrad transfer {params.flags} --state {params.state:q} --threads {threads} --gpus {resources.gpu}"
        " --prompt-file {input.prompt:q} --own {input.own:q} --data {input.train:q} --dev {input.dev:q} --test {input.test:q}"
        " --out {output.prompt:q} --report {output.report:q} > {log:q} 2>&1"
