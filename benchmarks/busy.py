"""What a busy machine costs, by how long OpenMP's threads spin before they sleep: answers and steps, wall and CPU seconds.

Threads that wait for each other at a barrier spin first. On a quiet machine that saves a wake-up; on a busy one they burn the
very cores that the others need. Each side is a process of its own, as libgomp reads its settings when it is loaded; all are
loaded first, then measured in turn: with nothing beside, with a twin (a second process of the same side), and with a crowd
(a process of one thread for each core). What stands beside is stopped (SIGSTOP) while it is not needed. Every process holds
the model, 1.5 GB of SmolLM2-135M; a twin makes it two for each side.

    python benchmarks/busy.py --model FOLDER                      # a checkpoint; without: random weights of SmolLM2-135M's shape
    python benchmarks/busy.py --sides builtin 10000 --beside twin # libgomp's own count and another
"""

import argparse
import hashlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from embedgrad_core.spinning import OWN, SPINS

# libgomp spins 300,000 times where nothing is set (GCC's libgomp/env.c): written out, so that our own choice does not apply.
BUILT_IN = 300_000
K, ROWS, INPUT, STEP_ITEMS, BODY, TARGET = 18, 16, 60, 4, 60, 16
BESIDE = ("nothing", "twin", "crowd")


def environment_of(side: str, threads: int) -> dict[str, str]:
    """Variables of a side: "builtin", "passive", "one" (thread), or a value of GOMP_SPINCOUNT."""
    if side == "passive":
        return {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    spins = str(BUILT_IN) if side in ("builtin", "one") else side
    return {"OMP_NUM_THREADS": "1" if side == "one" else str(threads), "GOMP_SPINCOUNT": spins}


def a_side(word: str) -> str:
    if word not in ("builtin", "passive", "one") and not word.isdecimal():
        raise argparse.ArgumentTypeError(f"{word!r} is not a side; give builtin, passive, one or a count of spins.")
    return word


@contextmanager
def process(
    folder: str, arguments: argparse.Namespace, environment: dict[str, str], role: str
) -> Iterator[subprocess.Popen]:
    """A child that has loaded the model; ``role`` is "measured" or "beside", which runs for ever and stands stopped."""
    inherited = {key: value for key, value in os.environ.items() if key not in (*OWN, "OMP_NUM_THREADS")}
    command = [sys.executable, __file__, "--child", role, "--model", folder, "--new", str(arguments.new)]
    command += ["--works", *(arguments.works if role == "measured" else ["answers"])]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=inherited | environment
    )
    try:
        if child.stdout.readline() != "ready\n":
            raise SystemExit(f"busy: a process of {environment} ended early")
        if role == "beside":
            child.send_signal(signal.SIGSTOP)
        yield child
    finally:
        child.kill()
        child.wait()


def computed(pid: int | None = None) -> float:
    """CPU seconds so far of a process, or of the whole machine (Linux)."""
    if pid is None:
        user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:8])
        return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(child: subprocess.Popen, work: str, beside: list[subprocess.Popen]) -> dict:
    """Seconds and digest of one work of a child, with others running beside it; ``strangers``: cores that none of ours used."""
    for other in beside:
        other.send_signal(signal.SIGCONT)
    time.sleep(0.3)  # so that they have begun
    ours = [process.pid for process in (child, *beside)]
    before, everything, started = sum(map(computed, ours)), computed(), time.perf_counter()
    try:
        child.stdin.write(work + "\n")
        child.stdin.flush()
        found = json.loads(child.stdout.readline())
    finally:
        for other in beside:
            other.send_signal(signal.SIGSTOP)
    strangers = computed() - everything - (sum(map(computed, ours)) - before)
    return found | {"strangers": round(max(0.0, strangers / (time.perf_counter() - started)), 2)}


def run(arguments: argparse.Namespace, folder: str) -> list[dict]:
    """Every side, in turn, ``repeats`` times after a warm-up."""
    found = []
    chosen = {side: environment_of(side, arguments.threads) for side in arguments.sides}
    with ExitStack() as stack:

        def start(environment: dict[str, str], role: str) -> subprocess.Popen:
            return stack.enter_context(process(folder, arguments, environment, role))

        single = {"OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "0"}
        crowd = [start(single, "beside") for _ in range(os.cpu_count())] if "crowd" in arguments.beside else []
        measured = {name: start(environment, "measured") for name, environment in chosen.items()}
        twins = {}
        if "twin" in arguments.beside:
            twins = {name: [start(environment, "beside")] for name, environment in chosen.items()}
        print("all are loaded: measuring", file=sys.stderr, flush=True)
        for repeat in range(arguments.repeats):
            for beside in arguments.beside:
                for work in arguments.works:
                    for name, child in measured.items():
                        others = {"nothing": [], "twin": twins.get(name), "crowd": crowd}[beside]
                        row = {"side": name, "beside": beside, "work": work, "repeat": repeat}
                        found.append(row | measure(child, work, others))
                        print(json.dumps(found[-1]), file=sys.stderr, flush=True)
    return found


def child(role: str, folder: str, new: int, wanted: list[str]) -> None:
    import torch

    from embedgrad_core import Layout, Slot, load_model
    from embedgrad_core.decoding.greedy import greedy
    from embedgrad_core.model.kernels import packed_weights
    from embedgrad_core.objective import Example
    from embedgrad_core.training.step import MicroBatching, accumulate
    from embedgrad_core.training.trainable import prompt_vectors

    frozen = load_model(folder, device="cpu", dtype="float32", log=lambda line: None)
    slot = Slot(frozen.tokenizer, Layout(), "", (), tuple(range(100, 100 + K)))
    vectors = frozen.embed(torch.tensor(slot.prompt_ids)).float().clone()
    bodies = [list(range(1 + row, 1 + row + INPUT)) for row in range(ROWS)]
    examples = [
        Example(str(n), list(range(1 + n, 1 + n + BODY)), list(range(1, 1 + TARGET))) for n in range(STEP_ITEMS)
    ]

    def answers() -> bytes:
        return json.dumps([row.ids for row in greedy(frozen, slot, vectors, bodies, new, [], batch_size=ROWS)]).encode()

    def step() -> bytes:
        trained = vectors.clone().requires_grad_()
        accumulate(prompt_vectors(frozen, slot, trained), examples, MicroBatching())
        return trained.grad.numpy().tobytes()

    works = {"answers": answers, "step": step}
    with packed_weights(frozen.network):
        for work in wanted:
            works[work]()
        print("ready", flush=True)
        if role == "beside":
            started_by = os.getppid()
            while os.getppid() == started_by:
                answers()
            return
        for line in sys.stdin:
            wall, cpu = time.perf_counter(), time.process_time()
            result = works[line.strip()]()
            seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
            print(json.dumps(seconds | {"sha256": hashlib.sha256(result).hexdigest()[:12]}), flush=True)


def show(rows: list[dict]) -> None:
    """A table for each work and what stands beside: medians, and the ratio of wall seconds to the first side's and to the best.

    "strangers" are the cores that processes of others took meanwhile: figures hold where they are next to none.
    """
    for work, beside in dict.fromkeys((row["work"], row["beside"]) for row in rows):
        here = [row for row in rows if (row["work"], row["beside"]) == (work, beside)]
        middle = {
            name: {
                key: statistics.median(row[key] for row in here if row["side"] == name)
                for key in ("wall", "cpu", "strangers")
            }
            for name in dict.fromkeys(row["side"] for row in here)
        }
        first, best = next(iter(middle.values()))["wall"], min(found["wall"] for found in middle.values())
        print(f"\n{work}, {beside} beside")
        print(f"{'':10}{'wall s':>8}{'CPU s':>8}{'to first':>10}{'to best':>9}{'strangers':>11}  result")
        for name, found in middle.items():
            digests = ",".join(sorted({row["sha256"] for row in here if row["side"] == name}))
            ratios = f"{found['wall'] / first:10.2f}{found['wall'] / best:9.2f}"
            print(f"{name:10}{found['wall']:8.2f}{found['cpu']:8.2f}{ratios}{found['strangers']:11.2f}  {digests}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder of a checkpoint")
    parser.add_argument("--size", default="135m", help="without --model: a shape of benchmarks/memory.py")
    parser.add_argument("--new", type=int, default=24, help="tokens of each of the 16 answers")
    default = ["builtin", "passive", "0", str(SPINS), "one"]
    parser.add_argument(
        "--sides", nargs="+", type=a_side, default=default, help="builtin passive one, or counts of spins"
    )
    parser.add_argument("--beside", nargs="+", choices=BESIDE, default=list(BESIDE))
    parser.add_argument("--works", nargs="+", choices=("answers", "step"), default=["answers", "step"])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.model, arguments.new, arguments.works)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the others end with this process
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.model:
            from memory import write_model

            write_model(Path(folder), arguments.size, "float32")
        rows = run(arguments, arguments.model or folder)
    show(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
