# The figures, each as PNG and PDF. All are drawn by one command, so that one rule holds for all: the others name what they read.


rule before_after:
    input:
        metrics=RUN.cell_files("metrics.json"),
    output:
        **figure("before_after"),
    log:
        f"{RESULTS}/logs/before_after.log",
    benchmark:
        f"{RESULTS}/benchmarks/before_after.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        cells=CONFIG.table_flags(),
        # Read off the output, and so none of the parameters whose change draws a figure again.
        name=lambda wildcards, output: Path(output.png).stem.replace("_", "-"),
    shell:
        "embedgrad figures {params.name} {params.cells} --png {output.png:q} --pdf {output.pdf:q} > {log:q} 2>&1"


use rule before_after as training_curves with:
    input:
        histories=RUN.cell_files("optimize.jsonl"),
        metrics=RUN.cell_files("metrics.json"),
    output:
        **figure("training_curves"),
    log:
        f"{RESULTS}/logs/training_curves.log",
    benchmark:
        f"{RESULTS}/benchmarks/training_curves.tsv"


use rule before_after as gain_figure with:
    output:
        **figure("gain"),
    log:
        f"{RESULTS}/logs/gain_figure.log",
    benchmark:
        f"{RESULTS}/benchmarks/gain_figure.tsv"


use rule before_after as entropy_figure with:
    output:
        **figure("entropy"),
    log:
        f"{RESULTS}/logs/entropy_figure.log",
    benchmark:
        f"{RESULTS}/benchmarks/entropy_figure.tsv"


use rule before_after as ladder_figure with:
    input:
        table=f"{RESULTS}/ladder.csv",
    output:
        **figure("ladder"),
    log:
        f"{RESULTS}/logs/ladder_figure.log",
    benchmark:
        f"{RESULTS}/benchmarks/ladder_figure.tsv"


use rule before_after as limits_figure with:
    input:
        table=f"{RESULTS}/limits.csv",
    output:
        **figure("limits"),
    log:
        f"{RESULTS}/logs/limits_figure.log",
    benchmark:
        f"{RESULTS}/benchmarks/limits_figure.tsv"


use rule before_after as anchoring_figure with:
    input:
        reports=RUN.cell_files("anchoring.json"),
    output:
        **figure("anchoring"),
    log:
        f"{RESULTS}/logs/anchoring_figure.log",
    benchmark:
        f"{RESULTS}/benchmarks/anchoring_figure.tsv"


use rule before_after as lat_figure with:
    input:
        reports=RUN.cell_files("lat.json"),
    output:
        **figure("lat"),
    log:
        f"{RESULTS}/logs/lat_figure.log",
    benchmark:
        f"{RESULTS}/benchmarks/lat_figure.tsv"
