# Lets `snakemake` run from the root; the workflow is workflow/Snakefile.


# Without --configfile this is the paper's run. Not merged into another run's file: its models are not the paper's.
if "run" not in config:

    configfile: "config/paper.yaml"


module main:
    snakefile:
        "workflow/Snakefile"
    config:
        config


use rule * from main


onstart:
    main.onstart()


onsuccess:
    main.onsuccess()


onerror:
    main.onerror()
