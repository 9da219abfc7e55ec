# Lets `snakemake` run from the root; the workflow is workflow/Snakefile.


from os.path import exists, join

# Without --configfile this is the paper's run, under another name with --config run=NAME. Not merged into another run's file: its
# models are not the paper's.
if not workflow.configfiles:

    # A folder of one's own (--directory) may have another; else it is the checkout's.
    configfile: "config/paper.yaml" if exists("config/paper.yaml") else join(workflow.basedir, "config/paper.yaml")


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
