# The data sets: loaded, normalised, split and certified.


# On a cluster too they are made where Snakemake runs: compute nodes often have no way to the hub.
localrules:
    data,


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
