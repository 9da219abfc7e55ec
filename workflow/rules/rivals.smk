# The methods that the paper places itself among, where the config's `rivals` names some: every rate of a method's grid on one seed
# and on dev alone, the best of them on all seeds, then the test half once for each seed.
RIVALS = f"{RESULTS}/rivals/{{dataset}}/{{model}}/{{rival}}"


rule rival_rate:
    input:
        model=RUN.model_folder,
        train=RUN.split_file("train.jsonl"),
        dev=RUN.split_file("dev.jsonl"),
    output:
        fitted=temp(f"{RIVALS}/rate{{rate}}/fitted.safetensors"),
        history=f"{RIVALS}/rate{{rate}}/fit.jsonl",
        run=f"{RIVALS}/rate{{rate}}/fit.run.json",
    log:
        f"{RESULTS}/logs/rival_rate/{{dataset}}/{{model}}/{{rival}}/{{rate}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/rival_rate/{{dataset}}/{{model}}/{{rival}}.{{rate}}.tsv"
    conda:
        "../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        **RUN.job_resources("rival_rate"),
    params:
        model=lambda wildcards: CONFIG.model_flags(wildcards.model),
        prompt=lambda wildcards: CONFIG.prompt_flags(RUN.task_of(wildcards)),
        settings=lambda wildcards: CONFIG.rival_flags(wildcards.dataset, wildcards.model, RUN.rivals_seed),
        state=lambda wildcards: f"{RESULTS}/resume/rivals/{wildcards.dataset}/{wildcards.model}/{wildcards.rival}/{wildcards.rate}.state",
    shell:
        "embedgrad rival fit --rival {wildcards.rival} --learning-rate {wildcards.rate} {params.model} {params.prompt} {params.settings}"
        " --threads {threads} --gpus {resources.gpu} --train {input.train:q} --dev {input.dev:q} --state {params.state:q}"
        " --out {output.fitted:q} --history {output.history:q} --run-info {output.run:q} > {log:q} 2>&1"


rule rival_choose:
    input:
        fitted=RUN.rival_rates("fitted.safetensors"),
        runs=RUN.rival_rates("fit.run.json"),
        histories=RUN.rival_rates("fit.jsonl"),
    output:
        chosen=f"{RIVALS}/chosen.json",
        fitted=f"{RIVALS}/seed{RUN.rivals_seed}/fitted.safetensors",
        history=f"{RIVALS}/seed{RUN.rivals_seed}/fit.jsonl",
        run=f"{RIVALS}/seed{RUN.rivals_seed}/fit.run.json",
    log:
        f"{RESULTS}/logs/rival_choose/{{dataset}}/{{model}}/{{rival}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/rival_choose/{{dataset}}/{{model}}/{{rival}}.tsv"
    wildcard_constraints:
        rival=RUN.rivals_pattern(with_rates=True),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **light(),
    shell:
        "embedgrad rival choose --fits {input.fitted:q} --chosen {output.chosen:q} --out {output.fitted:q} > {log:q} 2>&1"


# The null control at the configured rate has to be the run's own EmbedGrad: no job more where the grid has that rate.
rule rival_check:
    input:
        fitted=RUN.control_fit("fitted.safetensors"),
        history=RUN.control_fit("fit.jsonl"),
        prompt=f"{RESULTS}/{{dataset}}/{{model}}/seed{RUN.rivals_seed}/prompt.safetensors",
        own=f"{RESULTS}/{{dataset}}/{{model}}/seed{RUN.rivals_seed}/optimize.jsonl",
    output:
        f"{RESULTS}/rivals/{{dataset}}/{{model}}/{CONTROL}/check.json",
    log:
        f"{RESULTS}/logs/rival_check/{{dataset}}/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/rival_check/{{dataset}}/{{model}}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **light(),
    shell:
        "embedgrad rival check --fitted {input.fitted:q} --history {input.history:q} --prompt {input.prompt:q}"
        " --prompt-history {input.own:q} --out {output:q} > {log:q} 2>&1"


rule rival_fit:
    input:
        model=RUN.model_folder,
        train=RUN.split_file("train.jsonl"),
        dev=RUN.split_file("dev.jsonl"),
        chosen=RUN.rival_chosen,
    output:
        fitted=f"{RIVALS}/seed{{seed}}/fitted.safetensors",
        history=f"{RIVALS}/seed{{seed}}/fit.jsonl",
        run=f"{RIVALS}/seed{{seed}}/fit.run.json",
    log:
        f"{RESULTS}/logs/rival_fit/{{dataset}}/{{model}}/{{rival}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/rival_fit/{{dataset}}/{{model}}/{{rival}}.seed{{seed}}.tsv"
    conda:
        "../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        **RUN.job_resources("rival_fit"),
    params:
        model=lambda wildcards: CONFIG.model_flags(wildcards.model),
        prompt=lambda wildcards: CONFIG.prompt_flags(RUN.task_of(wildcards)),
        settings=lambda wildcards: CONFIG.rival_flags(wildcards.dataset, wildcards.model, wildcards.seed),
        decode=lambda wildcards: CONFIG.decode_flags(RUN.task_of(wildcards)),
        grade=lambda wildcards: CONFIG.grade_flags(RUN.task_of(wildcards)),
        rate=lambda wildcards, input: f"--chosen {input.chosen}" if input.get("chosen") else "",
        state=lambda wildcards: f"{RESULTS}/resume/rivals/{wildcards.dataset}/{wildcards.model}/{wildcards.rival}/seed{wildcards.seed}.state",
    shell:
        "embedgrad rival fit --rival {wildcards.rival} {params.rate} {params.model} {params.prompt} {params.settings} {params.decode}"
        " {params.grade} --threads {threads} --gpus {resources.gpu} --train {input.train:q} --dev {input.dev:q} --state {params.state:q}"
        " --out {output.fitted:q} --history {output.history:q} --run-info {output.run:q} > {log:q} 2>&1"


# The first seed of a method with rates is among the fits that were chosen from.
ruleorder: rival_choose > rival_fit


rule rival_answer:
    input:
        model=RUN.model_folder,
        data=RUN.split_file("test.jsonl"),
        fitted=f"{RIVALS}/seed{{seed}}/fitted.safetensors",
        begun=RUN.rival_begun,
    output:
        answers=f"{RIVALS}/seed{{seed}}/outputs.jsonl",
        run=f"{RIVALS}/seed{{seed}}/answer.run.json",
    log:
        f"{RESULTS}/logs/rival_answer/{{dataset}}/{{model}}/{{rival}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/rival_answer/{{dataset}}/{{model}}/{{rival}}.seed{{seed}}.tsv"
    conda:
        "../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        **RUN.job_resources("rival_answer"),
    params:
        model=lambda wildcards: CONFIG.model_flags(wildcards.model),
        level=lambda wildcards: CONFIG.level_flags(wildcards.dataset),
        decode=lambda wildcards: CONFIG.decode_flags(RUN.task_of(wildcards)),
        state=RUN.rival_state,
    shell:
        "embedgrad rival answer {params.model} {params.level} {params.decode} {params.state} --threads {threads} --gpus {resources.gpu}"
        " --fitted {input.fitted:q} --data {input.data:q} --out {output.answers:q} --run-info {output.run:q} > {log:q} 2>&1"


# The text prompt and the method answer in turn, so that jobs beside this one slow both: ratios stand, milliseconds do not.
rule rival_cost:
    input:
        model=RUN.model_folder,
        data=RUN.split_file("test.jsonl"),
        fitted=f"{RIVALS}/seed{RUN.rivals_seed}/fitted.safetensors",
    output:
        f"{RIVALS}/cost.json",
    log:
        f"{RESULTS}/logs/rival_cost/{{dataset}}/{{model}}/{{rival}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/rival_cost/{{dataset}}/{{model}}/{{rival}}.tsv"
    conda:
        "../../environment.yml"
    threads: CONFIG.values.get("threads", 4)
    resources:
        **RUN.job_resources("rival_cost"),
    params:
        model=lambda wildcards: CONFIG.model_flags(wildcards.model),
        level=lambda wildcards: CONFIG.level_flags(wildcards.dataset),
    shell:
        "embedgrad rival cost {params.model} {params.level} --threads {threads} --gpus {resources.gpu}"
        " --fitted {input.fitted:q} --data {input.data:q} --out {output:q} > {log:q} 2>&1"


use rule grade_before as grade_rival with:
    input:
        data=RUN.split_file("test.jsonl"),
        answers=f"{RIVALS}/seed{{seed}}/outputs.jsonl",
    output:
        f"{RIVALS}/seed{{seed}}/graded.jsonl",
    log:
        f"{RESULTS}/logs/grade_rival/{{dataset}}/{{model}}/{{rival}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/grade_rival/{{dataset}}/{{model}}/{{rival}}.seed{{seed}}.tsv"


rule rivals_table:
    input:
        before=RUN.rival_cells("before"),
        after=RUN.rival_cells("after"),
        ladders=RUN.rival_ladders(),
        graded=RUN.rival_files("graded.jsonl"),
        runs=RUN.rival_files("answer.run.json"),
        fits=RUN.rival_files("fit.run.json"),
        checks=RUN.rival_checks(),
        costs=RUN.rival_costs(),
    output:
        csv=f"{RESULTS}/rivals.csv",
        seal=f"{RESULTS}/rivals.csv.sha256",
        md=f"{RESULTS}/rivals.md",
        figures=RUN.rival_figures("parameters", "seconds", "positions"),
    log:
        f"{RESULTS}/logs/rivals_table.log",
    benchmark:
        f"{RESULTS}/benchmarks/rivals_table.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **light(),
    params:
        run=CONFIG.rivals_flags(),
        results=subpath(output.csv, parent=True),
        figures=lambda wildcards, output: Path(output.figures[0]).parent,
    shell:
        "embedgrad rival table {params.run} --results {params.results:q} --csv {output.csv:q} --md {output.md:q}"
        " --figures {params.figures:q} > {log:q} 2>&1"
