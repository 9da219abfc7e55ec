r"""Files that were damaged or forged, through the suite's own readers: each is read or refused by one sentence that names it.

    python tests/faults/mutate.py --mutants 10000 --seed 0 [--kinds prompt,config] [--json FILE]

Bytes are flipped, cut, inserted, doubled, taken out, made NUL or not UTF-8; values in JSON and YAML change type, go missing, grow
huge, become NaN; fields of tables become one another's. A reader goes as far as the suite does with the file. Exits with 1 if a
reader raised anything but one ``UserError`` of one line that names the file, took more than 2 s (20 s to load a model), or
unpickled something.
"""

import argparse
import contextlib
import copy
import json
import multiprocessing
import os
import random
import re
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

import torch  # noqa: E402
import yaml  # noqa: E402
from specimens import KINDS, Specimen, specimen  # noqa: E402

from embedgrad_core.files import UserError, checksum  # noqa: E402

MEMORY = 8 * 2**30
JUNK = (b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\xaf", b"\n", b"\r", b"\t", b'"', b"'", b"{", b"]", b",", b":",
        b"&a ", b"*a", b"NaN", b"!!python/object/apply:os.system ['true']", b"1e999", b"-",
        b"9" * 5_000, b"[" * 3_000, b"\xe2\x80\xae")  # fmt: skip
WATCHED = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect")


def values(chance: random.Random) -> object:
    """A value that a key may have by mistake or malice."""
    deep: object = 1
    for _ in range(chance.choice((3, 60))):
        deep = [deep]
    return chance.choice(
        (None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, -(10**19), 0.5, -0.0, 1e308, float("nan"), float("inf"), "", " ", "a",
         "9" * 5_000, "\x00", "\ud800", "\n", "../x", "-x", "$(true)", "é" * 3, [], {}, [1], ["a"], {"a": 1}, {"": None}, deep)
    )  # fmt: skip


def changed(chance: random.Random, tree: object) -> object:
    """A tree of values with one to three places changed: another value, gone, renamed, doubled, or swapped with another place."""
    tree = copy.deepcopy(tree)
    for _ in range(chance.randint(1, 3)):
        places = [
            (inner, key)
            for inner in _containers(tree)
            for key in (inner if isinstance(inner, dict) else range(len(inner)))
        ]
        if not places or chance.random() < 0.01:
            tree = values(chance)
            continue
        inner, key = chance.choice(places)
        kind = chance.random()
        if kind < 0.6:
            inner[key] = values(chance)
        elif kind < 0.75:
            del inner[key]
        elif kind < 0.85:
            other, elsewhere = chance.choice(places)
            if elsewhere in other if isinstance(other, dict) else elsewhere < len(other):
                inner[key] = copy.deepcopy(other[elsewhere])
        elif isinstance(inner, dict):
            inner[str(key) + chance.choice(("x", "\x00", "\n", ""))] = inner.pop(key)
        else:
            inner.append(copy.deepcopy(inner[key]))
    return tree


def _containers(tree: object) -> list:
    found, waiting = [], [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, (dict, list)):
            found.append(one)
            waiting += one.values() if isinstance(one, dict) else one
    return found


def bytes_changed(chance: random.Random, data: bytes) -> bytes:
    """One to four changes of bytes."""
    for _ in range(chance.randint(1, 4)):
        place = chance.randint(0, max(0, len(data) - 1))
        # Headers are short and come first: look there more often than their share.
        if chance.random() < 0.3:
            place = min(place, chance.randint(0, 200))
        end = min(len(data), place + chance.choice((1, 2, 8, 100)))
        kind = chance.randrange(6)
        if kind == 0 and data:
            data = data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]
        elif kind == 1:
            data = data[:place]
        elif kind == 2:
            data = data[:place] + chance.choice(JUNK) + data[place:]
        elif kind == 3:
            data = data[:end] + data[place:end] * chance.choice((1, 2, 30)) + data[end:]
        elif kind == 4:
            data = data[:place] + data[end:]
        else:
            data = data[:place] + chance.choice(JUNK) + data[end:]
    return data


def mutant(chance: random.Random, kind: str, data: bytes) -> bytes:
    """The bytes of one mutant of a specimen: of its values in half of the cases, else of its bytes."""
    if chance.random() < 0.5:
        return bytes_changed(chance, data)
    form = KINDS[kind]
    if form == "json":
        return _dumped(_unsealed(chance, changed(chance, json.loads(data))))
    if form == "yaml":
        tree = changed(chance, yaml.safe_load(data))
        return yaml.safe_dump(tree, allow_unicode=chance.random() < 0.5, sort_keys=False).encode(
            "utf-8", "surrogatepass"
        )
    if form == "jsonl":
        rows = [json.loads(line) for line in data.splitlines()]
        place = chance.randrange(len(rows))
        rows[place] = _unsealed(chance, changed(chance, rows[place]))
        if chance.random() < 0.1:
            chance.shuffle(rows)
        return b"".join(_dumped(row) + b"\n" for row in rows)
    if form == "safetensors":
        return _forged(chance, data)
    comma = b"," if form == "csv" else b"\t"
    fields = [line.split(comma) for line in data.splitlines()]
    for _ in range(chance.randint(1, 3)):
        row = chance.choice(fields)
        other = chance.choice(
            (chance.choice(JUNK), chance.choice(chance.choice(fields)), b"-1", b"nan", b"1e999", b"..", b"")
        )
        row[chance.randrange(len(row))] = other
    return b"".join(comma.join(row) + b"\n" for row in fields)


def _unsealed(chance: random.Random, tree: object) -> object:
    """Mostly without its checksum, as a forger would leave it: else the checksum alone refuses every change."""
    if isinstance(tree, dict) and chance.random() < 0.8:
        tree.pop("check", None)
    return tree


def _resealed(chance: random.Random, header: object) -> object:
    """A header of the suite's own, mostly with a checksum that fits what now stands in it."""
    if isinstance(header, dict) and "check" in header and chance.random() < 0.8:
        with contextlib.suppress(ValueError, RecursionError):
            header["check"] = checksum(header)
    return header


def _dumped(value: object) -> bytes:
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return json.dumps(value).encode()
    finally:
        sys.set_int_max_str_digits(limit)


def _forged(chance: random.Random, data: bytes) -> bytes:
    """A safetensors file with other words in its own header, or in the suite's header inside it."""
    (size,) = struct.unpack("<Q", data[:8])
    header, tensors = json.loads(data[8 : 8 + size]), data[8 + size :]
    if "embedgrad" in header.get("__metadata__", {}) and chance.random() < 0.7:
        inner = json.loads(header["__metadata__"]["embedgrad"])
        header["__metadata__"]["embedgrad"] = _dumped(_resealed(chance, changed(chance, inner))).decode()
    else:
        header = changed(chance, header)
    text = _dumped(header)
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + tensors


class Late(BaseException):
    """A reader took too long."""


def _late(*_: object) -> None:
    raise Late


def run(task: tuple[str, int, int]) -> dict:
    """All mutants of one kind."""
    kind, count, seed = task
    os.chdir(ROOT)
    os.environ.pop("EMBEDGRAD_MIRROR", None)
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "critical"}
    torch.set_num_threads(
        1
    )  # a worker a core; and on a machine of many cores each thread's heap and stack count in the limit
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    chance, seen = random.Random(f"{seed}/{kind}"), []
    sys.addaudithook(lambda event, details: seen.append(f"{event} {details[:1]!r}") if event in WATCHED else None)
    signal.signal(signal.SIGPROF, _late)
    report = {"kind": kind, "read": 0, "refused": 0, "slowest": 0.0, "faults": []}
    with tempfile.TemporaryDirectory() as folder:
        whole: Specimen = specimen(kind, Path(folder))
        data = whole.path.read_bytes()
        whole.read()  # the specimen itself must be read, or all refusals mean nothing
        seen.clear()
        for number in range(count):
            changes = mutant(chance, kind, data)
            whole.path.write_bytes(changes)
            fault, before = None, len(seen)
            started = time.process_time()  # what other programs take on a busy machine is not the reader's
            signal.setitimer(signal.ITIMER_PROF, 3 * whole.seconds)
            try:
                whole.read()
                report["read"] += 1
            except UserError as error:
                report["refused"] += 1
                message = str(error)
                # A folder that is loaded as one is named as one.
                if (
                    not ({whole.path.name, whole.path.parent.name} & set(re.split(r"[/:\s,]", message)))
                    or "\n" in message
                ):
                    fault = f"the sentence does not name the file in one line: {message[:300]!r}"
            except (Exception, Late) as error:  # noqa: BLE001 - anything but a UserError is a finding
                frames = traceback.extract_tb(error.__traceback__)
                last = frames[-1]
                places = [Path(frame.filename) for frame in frames]
                # The environment may lie inside the checkout.
                ours = any(
                    place.is_relative_to(ROOT)
                    and not place.is_relative_to(sys.prefix)
                    and place.parent != Path(__file__).parent
                    for place in places
                )
                if whole.foreign and not ours and not isinstance(error, Late):
                    report["refused"] += 1
                    continue
                fault = f"{type(error).__name__}: {str(error)[:150]!r} at {Path(last.filename).name}:{last.lineno}"
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            seconds = time.process_time() - started
            report["slowest"] = max(report["slowest"], seconds)
            if seconds > whole.seconds or len(seen) > before:
                fault = fault or (seen[-1] if len(seen) > before else f"took {seconds:.1f} s")
            if fault:
                report["faults"].append({"kind": kind, "number": number, "fault": fault})
    return report | {"unpickled": len(seen)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=10_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"of {', '.join(KINDS)}")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    started = time.perf_counter()
    tasks = [(kind, arguments.mutants, arguments.seed) for kind in arguments.kinds.split(",")]
    with multiprocessing.get_context("spawn").Pool(arguments.cores) as workers:
        reports = workers.map(run, tasks, chunksize=1)
    print(f"{'kind':15} {'read':>7} {'refused':>8} {'faults':>7} {'unpickled':>9} {'slowest s':>9}")
    for report in reports:
        counts = (report["kind"], report["read"], report["refused"], len(report["faults"]), report["unpickled"])
        print("{:15} {:7,} {:8,} {:7,} {:9,}".format(*counts), f"{report['slowest']:9.3f}")
    faults = [fault for report in reports for fault in report["faults"]]
    print(
        f"{len(reports)} kinds, {arguments.mutants:,} mutants each, {len(faults)} faults, {time.perf_counter() - started:.0f} s"
    )
    common = Counter((fault["kind"], fault["fault"]) for fault in faults)
    for (kind, fault), times in common.most_common(40):
        print(f"{times:5} {kind}: {fault}")
    if arguments.json:
        arguments.json.write_text(json.dumps(reports, indent=1) + "\n", encoding="utf-8")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
