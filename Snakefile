# Lets `snakemake` run from the root. An include does not change what is made by default, so that is said here.
include: "workflow/Snakefile"


workflow.default_target = "all"
