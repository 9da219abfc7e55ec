# What the optimised vectors are (Section 5.1) and what they activate (Section 5.3, Figure 3). Reads dev, never test.


rule anchoring:
    input:
        model=model_folder,
        data=split_file("dev.jsonl"),
        prompt=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/prompt.safetensors",
    output:
        f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/anchoring.json",
    log:
        f"{RESULTS}/logs/anchoring/{{dataset}}/{{model}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/anchoring/{{dataset}}/{{model}}/seed{{seed}}.tsv"
    conda:
        "../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        gpu=job_resource("gpu"),
        mem_mb=job_resource("mem_mb"),
        runtime=job_resource("runtime"),
    params:
        model=lambda wildcards: CONFIG.model_flags(wildcards.model),
        level=lambda wildcards: CONFIG.level_flags(wildcards.dataset),
        decode=lambda wildcards: CONFIG.decode_flags(task_of(wildcards)),
        grade=lambda wildcards: CONFIG.grade_flags(task_of(wildcards)),
    shell:
        "embedgrad anchoring {params.model} {params.level} {params.decode} {params.grade} --threads {threads}"
        " --prompt-file {input.prompt:q} --data {input.data:q} --out {output:q} > {log:q} 2>&1"


rule lat:
    input:
        model=model_folder,
        data=split_file("dev.jsonl"),
        stimuli="config/lat_stimuli.jsonl",
        prompt=f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/prompt.safetensors",
    output:
        f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/lat.json",
    log:
        f"{RESULTS}/logs/lat/{{dataset}}/{{model}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/lat/{{dataset}}/{{model}}/seed{{seed}}.tsv"
    conda:
        "../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        gpu=job_resource("gpu"),
        mem_mb=job_resource("mem_mb"),
        runtime=job_resource("runtime"),
    params:
        model=lambda wildcards: CONFIG.model_flags(wildcards.model),
        level=lambda wildcards: CONFIG.level_flags(wildcards.dataset),
    shell:
        "embedgrad lat {params.model} {params.level} --threads {threads} --prompt-file {input.prompt:q}"
        " --stimuli {input.stimuli:q} --data {input.data:q} --out {output:q} > {log:q} 2>&1"


rule anchoring_figure:
    input:
        reports=cell_files("anchoring.json"),
    output:
        png=report(f"{FIGURES}/anchoring.png", caption="../report/anchoring.rst", category="Figures"),
        pdf=report(f"{FIGURES}/anchoring.pdf", caption="../report/anchoring.rst", category="Figures"),
    log:
        f"{RESULTS}/logs/anchoring_figure.log",
    benchmark:
        f"{RESULTS}/benchmarks/anchoring_figure.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=10,
    params:
        cells=CONFIG.table_flags(),
    shell:
        "embedgrad figures anchoring {params.cells} --png {output.png:q} --pdf {output.pdf:q} > {log:q} 2>&1"


rule lat_figure:
    input:
        reports=cell_files("lat.json"),
    output:
        png=report(f"{FIGURES}/lat.png", caption="../report/lat.rst", category="Figures"),
        pdf=report(f"{FIGURES}/lat.pdf", caption="../report/lat.rst", category="Figures"),
    log:
        f"{RESULTS}/logs/lat_figure.log",
    benchmark:
        f"{RESULTS}/benchmarks/lat_figure.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=10,
    params:
        cells=CONFIG.table_flags(),
    shell:
        "embedgrad figures lat {params.cells} --png {output.png:q} --pdf {output.pdf:q} > {log:q} 2>&1"
