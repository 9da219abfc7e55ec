"""Kill a run again and again at random moments, and count what was lost, wrong, recomputed or left behind.

python tests/faults/soak.py --kills 20                   # one run of the demo, killed twenty times
python tests/faults/soak.py --minutes 30 --mean 15       # a soak: disturbed runs one after the other
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "support")]

from disturb import checkout, disturbed, finish, leftovers, results  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="config/demo.yaml", help="config/demo.yaml or tests/configs/small.yaml")
    parser.add_argument("--kills", type=int, default=20, help="in a run")
    parser.add_argument("--mean", type=float, default=12.0, help="seconds between two kills, on average")
    parser.add_argument("--minutes", type=float, default=0, help="go on with new runs until then")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="embedgrad-faults-"))
    chance = random.Random(arguments.seed)
    try:
        print("the run that nobody disturbs …", flush=True)
        reference = checkout(home / "undisturbed")
        status, output = finish(reference, arguments.config)
        if status:
            raise SystemExit(output[-3000:])
        wanted, started = results(reference), time.monotonic()
        injected: Counter[str] = Counter()
        counts: Counter[str] = Counter()
        slowest = 0.0
        while True:
            counts["runs"] += 1
            folder = checkout(home / f"run{counts['runs']}")
            tally = disturbed(folder, arguments.config, arguments.kills, chance, arguments.mean)
            found = results(folder)
            wrong = [name for name in wanted if name in found and found[name] != wanted[name]]
            lost = [name for name in wanted if name not in found]
            left = leftovers(folder)
            injected += Counter(tally.injected)
            slowest = max(slowest, tally.seconds)
            counts["starts"] += tally.starts
            for name, what in (
                ("survived", [] if wrong or lost else ["run"]),
                ("wrong results", wrong),
                ("data lost", lost),
                ("finished files written again", tally.recomputed),
                ("orphans 12 s after a kill", tally.orphans),
                ("over 10 s after SIGTERM", tally.slow),
                ("leftovers", left),
            ):
                counts[name] += len(what)
                if what and name != "survived":
                    print(f"{name}: {what[:5]}", flush=True)
            minutes = (time.monotonic() - started) / 60
            kinds = ", ".join(f"{name} {count}" for name, count in counts.items())
            print(f"{minutes:5.1f} min: {sum(injected.values())} kills, {kinds}", flush=True)
            shutil.rmtree(folder)
            if minutes >= arguments.minutes:
                break
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print("\n| fault | injected |\n|---|--:|")
    for name, count in sorted(injected.items()):
        print(f"| {name} | {count} |")
    print(f"\nlongest way out after SIGTERM {slowest:.1f} s; {len(wanted)} files compared in each run")


if __name__ == "__main__":
    main()
