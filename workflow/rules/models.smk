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
        gpu=0,
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        flags=lambda wildcards: CONFIG.pretrain_flags(wildcards.model),
    shell:
        "embedgrad pretrain {params.flags} --out {output:q} --threads {threads} > {log:q} 2>&1"
