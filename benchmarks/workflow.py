"""What the workflow itself costs: planning the DAG for 26, 260 and 2,600 cells, and the overhead of a job.

python benchmarks/workflow.py --json workflow.json
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import machine, write

ROOT = Path(__file__).resolve().parents[1]
SNAKEMAKE = [sys.executable, "-m", "snakemake"]
TRIVIAL = 'rule all:\n    input: [f"{n}.txt" for n in range(%d)]\nrule one:\n    output: "{n}.txt"\n    shell: "touch {output}"\n'
IMPORTS = "from embedgrad_core import decode, optimize; import embedgrad.grading, embedgrad.runtime.provenance, tqdm"


def seconds(command: list[str], where: Path) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=where, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return time.perf_counter() - started


def planning(seeds: int) -> tuple[float, float]:
    """A dry run of the paper's table, 26 cells for each seed: seconds by the clock, and of computing.

    On a machine that others share only the latter says what a plan costs.
    """
    wanted, before = ",".join(map(str, range(seeds))), _computed()
    clock = seconds([*SNAKEMAKE, "--dry-run", "--quiet", "all", "--cores", "1", "--config", f"seeds={wanted}"], ROOT)
    return clock, _computed() - before


def _computed() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def job_overhead(jobs: int = 40) -> float:
    """Snakemake's own part of a job: trivial ones, the cost of an empty run taken off."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "Snakefile").write_text(TRIVIAL % jobs)
        whole = seconds([*SNAKEMAKE, "--cores", "1", "--quiet", "all"], place)
        nothing = seconds([*SNAKEMAKE, "--cores", "1", "--quiet", "all"], place)
    return (whole - nothing) / jobs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 10, 100])
    arguments = parser.parse_args()
    result: dict = {"machine": machine("cpu"), "planning_seconds": {}, "planning_cpu_seconds": {}}
    for seeds in arguments.seeds:
        clock, computed = planning(seeds)
        result["planning_seconds"][26 * seeds], result["planning_cpu_seconds"][26 * seeds] = clock, computed
        print(f"planning {26 * seeds:5d} cells: {clock:6.1f} s, of computing {computed:6.1f} s", flush=True)
    result["snakemake_seconds_a_job"] = job_overhead()
    result["import_seconds_a_job"] = min(seconds([sys.executable, "-c", IMPORTS], ROOT) for _ in range(3))
    print(f"a job: Snakemake {result['snakemake_seconds_a_job']:.2f} s, imports {result['import_seconds_a_job']:.1f} s")
    write(arguments.json, result)


if __name__ == "__main__":
    main()
