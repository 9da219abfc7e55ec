"""Keep of a run what a reader needs, small enough for version control: tables, figures, page, certificates, versions, times.

The graded answers and analyses of all cells go into one archive, ``results.tar.xz``: unpacked in the checkout, a run goes on from
there, and its tables and page can be made again without a model.

    embedgrad keep --results results/laptop --figures figures/laptop --out docs/laptop
"""

import argparse
import csv
import io
import lzma
import tarfile
from pathlib import Path

from embedgrad.commands.arguments import plain_line
from embedgrad.commands.checked import whole
from embedgrad.reporting.tables import csv_bytes
from embedgrad_core.files import UserError, read_json, write_whole

HELP = "keep of a run what a reader needs"
# As they lie in results/<run>; one that a run has not made yet is left out.
TABLES = (
    "table2",
    "ladder",
    "limits",
    "spread",
    "prompts",
    "correlation",
    "sensitivity",
    "recovery",
    "claims",
    "audit",
)
ENDINGS = (".csv", ".md")
# What the archive leaves out: weights, logs, what is kept beside it, and what is made from the rest in seconds.
LEFT_OUT = {"models", "logs", "benchmarks", "shards"}
ARCHIVE = "results.tar.xz"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """From where, to where, how much."""
    parser.add_argument("--results", required=True, type=Path, help="results/<run>")
    parser.add_argument("--figures", required=True, type=Path, help="figures/<run>")
    parser.add_argument("--out", required=True, type=Path, help="folder; its files of these names are written over")
    parser.add_argument("--most", type=whole(1), default=4_000_000, help="bytes in all, the archive aside")


def run(arguments: argparse.Namespace) -> None:
    """Collect; write.

    Raises:
        UserError: no such run, or more bytes than --most.
    """
    results, out = arguments.results, arguments.out
    if not results.is_dir():
        raise UserError(f"--results {results}: no such folder; give results/<run> of a run that was made.")
    files = {path.name: path.read_bytes() for path in _kept(results, arguments.figures)}
    for path in sorted(results.glob("data/*/split.json")):
        files[f"split.{path.parent.name}.json"] = path.read_bytes()
    files["times.csv"] = _times(results / "benchmarks")
    files["versions.csv"] = _versions(results)
    size = sum(map(len, files.values()))
    if size > arguments.most:
        largest = max(files, key=lambda name: len(files[name]))
        raise UserError(
            f"{size:,} bytes to keep, more than --most {arguments.most:,}; {largest} is the largest ({len(files[largest]):,}). "
            "Give more, or draw fewer cells."
        )
    files[ARCHIVE] = _archive(results)
    out.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        with write_whole(out / name) as temporary:
            temporary.write_bytes(data)
    plain_line(f"{out}: {len(files) - 1} files of {size:,} bytes, and {ARCHIVE} of {len(files[ARCHIVE]):,}")


def _kept(results: Path, figures: Path) -> list[Path]:
    names = [results / f"{name}{ending}" for name in TABLES for ending in ENDINGS]
    names += [results / "against_best.md", results / "report.html", *sorted(figures.glob("*.png"))]
    return [path for path in names if path.exists()]


def _times(benchmarks: Path) -> bytes:
    """Wall-clock and CPU seconds and peak memory of every job, from Snakemake's benchmark files."""
    rows = []
    for path in sorted(benchmarks.rglob("*.tsv")):
        rule, *wildcards = path.relative_to(benchmarks).with_suffix("").parts
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines, delimiter="\t"):
                told = {"rule": rule, "job": "/".join(wildcards), "wall_s": row["s"], "cpu_s": row["cpu_time"]}
                rows.append(told | {"max_rss_mb": row["max_rss"]})
    return csv_bytes(rows, ("rule", "job", "wall_s", "cpu_s", "max_rss_mb"))


def _versions(results: Path) -> bytes:
    """What the runs of the cells say of model, device and versions, each different set once."""
    seen: dict[tuple, dict] = {}
    for path in sorted(results.rglob("*.run.json")):
        run_ = read_json(path)
        model = run_.get("model", {})
        keys = ("name", "resolved", "dequantised_from", "dtype", "device")
        told = {key: model.get(key) or "" for key in keys} | run_.get("versions", {})
        told |= {"commit": (run_.get("git") or {}).get("commit") or ""}
        told["name"] = Path(told["name"]).name
        seen.setdefault(tuple(told.values()), told)
    rows = sorted(seen.values(), key=lambda row: list(row.values()))
    return csv_bytes(rows, list(dict.fromkeys(key for row in rows for key in row)))


def _archive(results: Path) -> bytes:
    """All other files, names and times kept, so that Snakemake goes on from them; the same files give the same bytes."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz", preset=9 | lzma.PRESET_EXTREME) as archive:
        for path in sorted(results.rglob("*")):
            inside = path.relative_to(results)
            if not path.is_file() or inside.parts[0] in LEFT_OUT | {"report.html"} or path.suffix == ".state":
                continue
            # The vectors are of no use to tables and page, and do not pack; a cell that is done needs them no more.
            if path.name == "prompt.safetensors" and (path.parent / "anchoring.json").exists():
                continue
            info = archive.gettarinfo(str(path), arcname=f"results/{results.name}/{inside.as_posix()}")
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            with path.open("rb") as content:
                archive.addfile(info, content)
    return data.getvalue()
