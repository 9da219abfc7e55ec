# Lets `snakemake` run from the root; the workflow is workflow/Snakefile.
module main:
    snakefile:
        "workflow/Snakefile"


use rule * from main


onstart:
    main.onstart()
