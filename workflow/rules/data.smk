# The data sets: loaded, normalised, split and certified.


# On a cluster too they are made where Snakemake runs: compute nodes often have no way to the hub.
localrules:
    data,
    editions,


rule data:
    output:
        [f"{RESULTS}/data/{{task}}/{name}" for name in SPLITS],
    log:
        f"{RESULTS}/logs/data/{{task}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/data/{{task}}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **light(minutes=60, memory=4000),
    params:
        flags=lambda wildcards: CONFIG.data_flags(wildcards.task),
        folder=subpath(output[0], parent=True),
    shell:
        "embedgrad data {params.flags} --out {params.folder:q} > {log:q} 2>&1"


# Where protocol recovery searches them: the same items in the data set's other edition, or why it is not at hand.
rule editions:
    input:
        train=f"{RESULTS}/data/{{task}}/train.jsonl",
        dev=f"{RESULTS}/data/{{task}}/dev.jsonl",
    output:
        f"{RESULTS}/data/{{task}}/editions.json",
    log:
        f"{RESULTS}/logs/editions/{{task}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/editions/{{task}}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **light(minutes=60, memory=4000),
    params:
        flags=lambda wildcards: CONFIG.edition_flags(wildcards.task),
    shell:
        "embedgrad editions {params.flags} --data {input.train:q} {input.dev:q} --out {output:q} > {log:q} 2>&1"
