"""The whole demo through a real Slurm on this machine, with two fake GPUs; its results beside those of a local run.

python benchmarks/scheduling/slurm.py --against results/demo     # of `make demo`; without, the local run is made first
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "tests/support")]

from disturb import checkout, finish, leftovers, results, start  # noqa: E402
from slurm_here import slurm  # noqa: E402

PROFILE = ("--profile", "workflow/profiles/slurm", "--slurm-init-seconds-before-status-checks", "3")


def through_slurm(folder: Path, config: str) -> dict:
    """Run ``config`` through Slurm; what was seen of it.

    Raises:
        SystemExit: the run fails; the end of its output.
    """
    busy, samples, shared, peak = 0, 0, 0, 0
    with slurm() as here:
        started = time.monotonic()
        # Each job that loads a model asks for a GPU, and computes on the CPU for want of a real one.
        process = start(folder, config, *PROFILE, "--config", "device=auto")
        while process.poll() is None:
            at_work = [job for job in here.jobs() if job.state == "RUNNING"]
            gpus = [gpu for job in at_work for gpu in job.gpus]
            busy, samples, peak = busy + len(gpus), samples + 1, max(peak, len(at_work))
            shared += len(gpus) != len(set(gpus))
            time.sleep(0.5)
        seconds = time.monotonic() - started
        jobs = here.jobs()
    if process.returncode:
        raise SystemExit((folder / "output.log").read_text()[-3000:])
    return {
        "seconds": seconds,
        "jobs": len(jobs),
        "states": Counter(job.state for job in jobs),
        "most at once": peak,
        "GPUs busy": busy / max(1, 2 * samples),
        "moments with a shared GPU": shared,
        "left over": leftovers(folder),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="config/demo.yaml", help="config/demo.yaml or tests/configs/small.yaml")
    parser.add_argument("--against", type=Path, help="results/<run> of a local run")
    arguments = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="embedgrad-cluster-"))
    try:
        local = home / "local"
        if arguments.against:
            shutil.copytree(arguments.against, local / "results" / arguments.against.name)
        else:
            started = time.monotonic()
            status, output = finish(checkout(local), arguments.config)
            if status:
                raise SystemExit(output[-3000:])
            print(f"on this machine alone: {time.monotonic() - started:.0f} s", flush=True)
        found = through_slurm(checkout(home / "slurm"), arguments.config)
        for name, value in found.items():
            print(f"{name}: {value:.2f}" if isinstance(value, float) else f"{name}: {value}")
        one, two = results(local), results(home / "slurm")
        differing = sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))
        print(f"files compared: {len(one)}; differing: {len(differing)} {differing[:5]}")
        sys.exit(bool(differing or found["left over"] or found["moments with a shared GPU"]))
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
