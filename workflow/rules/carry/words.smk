# Human words for an optimised prompt.


rule carry_words:
    input:
        model=RUN.model_folder,
        prompt=RUN.own_prompt,
        train=RUN.split_file("train.jsonl"),
        dev=RUN.split_file("dev.jsonl"),
        test=RUN.split_file("test.jsonl"),
    output:
        words=f"{CARRIED}/words.txt",
        report=f"{CARRIED}/words.json",
    log:
        f"{RESULTS}/logs/carry_words/{{dataset}}/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/carry_words/{{dataset}}/{{model}}.tsv"
    conda:
        "../../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        **RUN.job_resources("carry_words"),
    params:
        flags=lambda wildcards: CONFIG.words_flags(wildcards.dataset, wildcards.model),
        state=RUN.answers_state("carry_words"),
    shell:
        "embedgrad distil {params.flags} --state {params.state:q} --threads {threads} --gpus {resources.gpu}"
        " --prompt-file {input.prompt:q} --data {input.train:q} --dev {input.dev:q} --test {input.test:q}"
        " --out {output.words:q} --report {output.report:q} > {log:q} 2>&1"
