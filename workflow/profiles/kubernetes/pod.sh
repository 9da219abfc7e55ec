# Sourced in each pod before the inner Snakemake; the profile's precommand sets EMBEDGRAD_SHARED.
# A shell as process 1 never hears SIGTERM. pod.py takes its place, runs the same command and hands the signal on to all of it.
if [ -z "$EMBEDGRAD_POD" ]; then
    export EMBEDGRAD_POD=1
    exec python "$EMBEDGRAD_SHARED/workflow/profiles/kubernetes/pod.py" "$(tr '\0' '\n' <"/proc/$$/cmdline" | tail -n +3)"
fi

# What an inner Snakemake copies in and out lies here; commands that name results/ by its name must find the same files.
copies=".snakemake/storage/fs$EMBEDGRAD_SHARED"
mkdir -p "$copies/results" "$copies/figures"
ln -sfn "$copies/results" results
ln -sfn "$copies/figures" figures

# Resume states are no outputs and would be lost with the pod: they go straight to the shared folder.
for run in "$EMBEDGRAD_SHARED"/results/*/; do
    [ -d "$run" ] || continue
    mkdir -p "$run/resume" "results/$(basename "$run")"
    ln -sfn "${run}resume" "results/$(basename "$run")/resume"
done

# Tables of cells, where the shared folder is no git checkout and the archive of sources lacks them.
cp -R "$EMBEDGRAD_SHARED/config" .

# Weights are downloaded once for all pods.
export HF_HOME="${HF_HOME:-$EMBEDGRAD_SHARED/.cache/huggingface}"
