"""What a reader needs of a run, as ``embedgrad keep`` puts it aside."""

import csv
import io
import lzma
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embedgrad.reporting.tables import csv_bytes
from embedgrad_core.files import UserError, read_json

# As they lie in results/<run>; one that a run has not made yet is left out.
KEPT = (
    "table2",
    "ladder",
    "limits",
    "spread",
    "prompts",
    "correlation",
    "sensitivity",
    "recovery",
    "recovery_axes",
    "claims",
    "audit",
    "rivals",
)
ENDINGS = (".csv", ".md")
# What the archive leaves out: models, logs, and what lies beside it or was put together.
LEFT_OUT = {"models", "logs", "shards"}
# Fits of other methods are up to a whole model's weights each.
LARGE = {"fitted.safetensors"}
ARCHIVE = "results.tar.xz"


def kept_files(results: Path, figures: Path, most: int, split_runs: Sequence[Path] = ()) -> dict[str, bytes]:
    """Tables, figures, page, certificates, versions and times by file name, ``most`` bytes in all, and :data:`ARCHIVE`.

    ``split_runs`` are runs over other splits, results/<run>: their files go into the archive too.

    Raises:
        UserError: no such run, or more bytes than ``most``.
    """
    for flag, folder in [("--results", results), *(("--split-runs", other) for other in split_runs)]:
        if not folder.is_dir():
            raise UserError(f"{flag} {folder}: no such folder; give results/<run> of a run that was made.")
    files = {path.name: path.read_bytes() for path in _kept(results, figures)}
    for path in sorted(results.glob("probes/*.csv")):
        files[f"probe_{path.name}"] = path.read_bytes()
    for path in sorted(path for path in results.glob("carry/*.*") if path.suffix in ENDINGS):
        files[f"carry_{path.name}"] = path.read_bytes()
    for path in sorted(results.glob("data/*/split.json")):
        files[f"split.{path.parent.name}.json"] = path.read_bytes()
    files["times.csv"] = _times(results / "benchmarks")
    files["versions.csv"] = _versions(results)
    size = sum(map(len, files.values()))
    if size > most:
        largest = max(files, key=lambda name: len(files[name]))
        raise UserError(
            f"{size:,} bytes to keep, more than --most {most:,}; {largest} is the largest ({len(files[largest]):,}). "
            "Give more, or draw fewer cells."
        )
    return files | {ARCHIVE: _archive([results, *split_runs])}


def _kept(results: Path, figures: Path) -> list[Path]:
    names = [results / f"{name}{ending}" for name in KEPT for ending in ENDINGS]
    names += [results / "against_best.md", results / "report.html", *sorted(figures.glob("*.png"))]
    return [path for path in names if path.exists()]


def _times(benchmarks: Path) -> bytes:
    """Wall-clock and CPU seconds and peak memory of every job, from Snakemake's benchmark files."""
    rows = []
    for path in sorted(benchmarks.rglob("*.tsv")):
        rule, *wildcards = path.relative_to(benchmarks).with_suffix("").parts
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines, delimiter="\t"):
                job = {"rule": rule, "job": "/".join(wildcards), "wall_s": row["s"], "cpu_s": row["cpu_time"]}
                rows.append(job | {"max_rss_mb": row["max_rss"]})
    return csv_bytes(rows, ("rule", "job", "wall_s", "cpu_s", "max_rss_mb"))


def _versions(results: Path) -> bytes:
    """What the runs of the cells say of model, device and versions, each different set once."""
    seen: dict[tuple, dict] = {}
    for path in sorted(results.rglob("*.run.json")):
        run_ = read_json(path)
        model = run_.get("model", {})
        keys = ("name", "resolved", "dequantised_from", "dtype", "device")
        facts = {key: model.get(key) or "" for key in keys} | run_.get("versions", {})
        facts |= {"commit": (run_.get("git") or {}).get("commit") or ""}
        facts["name"] = Path(facts["name"]).name
        seen.setdefault(tuple(facts.values()), facts)
    rows = sorted(seen.values(), key=lambda row: list(row.values()))
    return csv_bytes(rows, list(dict.fromkeys(key for row in rows for key in row)))


def model_folders(results: Path) -> list[str]:
    """The absolute model folders that a run's files name, each once: what is published says where they lay."""
    names = {read_json(path).get("model", {}).get("name") or "" for path in results.rglob("*.run.json")}
    return sorted(name for name in names if Path(name).is_absolute())


def _archive(runs: Sequence[Path]) -> bytes:
    """All other files, optimised prompts too, names and times kept, so that Snakemake goes on from them; the same files give the
    same bytes."""
    data = io.BytesIO()
    best: Any = 9 | lzma.PRESET_EXTREME  # typeshed knows the levels 0 to 9 alone
    with tarfile.open(fileobj=data, mode="w:xz", preset=best) as archive:
        for run in runs:
            for path in sorted(run.rglob("*")):
                inside = path.relative_to(run)
                if (
                    not path.is_file()
                    or inside.parts[0] in LEFT_OUT | {"report.html"}
                    or path.name in LARGE
                    or path.suffix == ".state"
                ):
                    continue
                info = archive.gettarinfo(str(path), arcname=f"results/{run.name}/{inside.as_posix()}")
                info.uid = info.gid = 0
                info.uname = info.gname = ""
                with path.open("rb") as content:
                    archive.addfile(info, content)
    return data.getvalue()
