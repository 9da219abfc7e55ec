# Models that the workflow makes itself: the demo's tiny ones.


rule pretrain:
    output:
        directory(f"{RESULTS}/models/{{model}}"),
    log:
        f"{RESULTS}/logs/pretrain/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pretrain/{{model}}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **light(minutes=30),
    params:
        flags=lambda wildcards: CONFIG.pretrain_flags(wildcards.model),
    shell:
        "embedgrad pretrain {params.flags} --out {output:q} --threads {threads} > {log:q} 2>&1"
