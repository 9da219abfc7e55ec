"""All that a GPU has to prove, in one command: facts, correctness, a step, decoding, and a real cell, each in its own time box.

    python benchmarks/on_gpu.py --minutes 12 --out DIR --mirror DIR          # on a machine with a GPU
    python benchmarks/on_gpu.py --minutes 5 --out DIR --device cpu --small   # every part in little, without one

Each part is a process of its own that writes a line as soon as it has a figure: a part that dies or is cut at the end of its box
loses only what it was at. ``DIR/rows.jsonl`` holds the lines, ``DIR/report.md`` the tables, ``DIR/log.txt`` what the parts printed,
``DIR/cells.tar.xz`` the answers of the real cell.

Needs torch, transformers, safetensors, numpy, scipy, sympy, PyYAML and tqdm; peft where it is to stand beside; for the real
cell also jsonschema with its own needs (attrs, referencing, rpds-py, jsonschema-specifications), and a mirror folder with ``data/``
and ``models/SmolLM2-135M-Instruct``. ``--gguf-parts DIR`` puts the model together from pieces of its GGUF file (``*.gguf.0``,
``*.gguf.1``, …), which takes the packages gguf and accelerate. No network.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/support"), str(Path(__file__).parent)]

from gpu_parts.record import Context, append, read_rows  # noqa: E402
from gpu_parts.summary import report  # noqa: E402

# In the order of their worth, with the share of the time; what a part leaves over goes to those after it.
PARTS = {"facts": 1, "correctness": 5, "step": 6, "decoding": 6, "cell": 6}
GRACE = 15.0  # seconds that a part has to end by itself once its box is over


def main() -> None:
    arguments = read_arguments()
    if arguments.part:
        work(arguments)
        return
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    if arguments.device == "cuda" and (reason := no_gpu()):
        sys.exit(f"on_gpu: device cuda: {reason}; --device cpu --small runs every part in little.")
    rows = out / "rows.jsonl"
    rows.unlink(missing_ok=True)
    (out / "log.txt").unlink(missing_ok=True)
    end = time.monotonic() + 60 * arguments.minutes
    names = [arguments.only] if arguments.only else list(PARTS)
    for place, name in enumerate(names):
        share = PARTS[name] / sum(PARTS[other] for other in names[place:])
        run_part(name, max(5.0, (end - time.monotonic()) * share), arguments)
        (out / "report.md").write_text(report(read_rows(rows), list(PARTS)), encoding="utf-8")
    print(f"{out / 'report.md'}: {len(read_rows(rows))} rows, {sum('error' in row for row in read_rows(rows))} errors")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=12, help="for all parts together")
    parser.add_argument("--out", type=Path, required=True, help="folder of the figures")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny shapes and few items: does every part run")
    parser.add_argument("--only", choices=PARTS, help="one part, with all of the time")
    parser.add_argument("--mirror", type=Path, help="folder with data/ and models/ for the real cell")
    parser.add_argument("--gguf-parts", type=Path, help="folder with the pieces of SmolLM2-135M-Instruct's GGUF file")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    return parser.parse_args()


def no_gpu() -> str | None:
    """Why torch cannot compute on CUDA, in one line; asked in a process of its own, as a broken driver may end it."""
    question = "import torch; torch.cuda.init(); torch.ones(2, device='cuda').sum().item()"
    asked = subprocess.run([sys.executable, "-W", "ignore", "-c", question], capture_output=True, text=True)
    if asked.returncode == 0:
        return None
    return (asked.stderr.strip() or f"the question ended with status {asked.returncode}").splitlines()[-1][:300]


def run_part(name: str, seconds: float, arguments: argparse.Namespace) -> None:
    """One part in its time box; what it cannot record itself is recorded for it."""
    print(f"{name}: {seconds:.0f} s at most", flush=True)
    command = [sys.executable, __file__, "--part", name, "--seconds", str(seconds), "--out", str(arguments.out)]
    command += ["--device", arguments.device, *(["--small"] if arguments.small else [])]
    for flag in ("mirror", "gguf_parts"):
        if value := getattr(arguments, flag):
            command += [f"--{flag.replace('_', '-')}", str(value.resolve())]
    rows, begun = arguments.out / "rows.jsonl", time.monotonic()
    with (arguments.out / "log.txt").open("ab+") as log:
        place = log.seek(0, 2)
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True)
        try:
            status = process.wait(seconds + GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            append(rows, {"part": name, "name": name, "cut": f"ended from outside {GRACE:.0f} s after its box"})
            status = 0
        log.seek(place)
        lines = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    if status:
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        append(rows, {"part": name, "name": name, "error": f"died ({how}): {lines[-1][:300] if lines else 'no word'}"})
    append(rows, {"part": name, "name": "seconds of the part", "seconds": round(time.monotonic() - begun, 1)})


def work(arguments: argparse.Namespace) -> None:
    """Within a part's process."""
    from importlib import import_module

    context = Context(
        part=arguments.part,
        device=arguments.device,
        small=arguments.small,
        out=arguments.out,
        deadline=time.monotonic() + arguments.seconds,
        mirror=arguments.mirror,
        gguf_parts=arguments.gguf_parts,
    )
    import_module(f"gpu_parts.{arguments.part}").run(context)
    print(json.dumps({"left": round(context.left(), 1)}))


if __name__ == "__main__":
    main()
