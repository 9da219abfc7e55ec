"""The jobs of a run as Snakemake itself plans them: rule, wildcards, resources, and which job waits for which.

python benchmarks/scheduling/dag.py --configfile config/paper.yaml --config seeds=0,1 > jobs.json

A dry run whose log is read as records, not as text: Snakemake describes each job in its log
(``LogEvent.JOB_INFO`` of snakemake-interface-logger-plugins).
"""

import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Planned:
    """One job of the DAG.

    Attributes:
        rule: its rule's name.
        wildcards: of the rule.
        gpus: GPUs that it holds while it runs.
        needs: places in the list of the jobs that it waits for.
    """

    rule: str
    wildcards: dict[str, str]
    gpus: int
    needs: tuple[int, ...]


def planned(arguments: Sequence[str], where: Path = ROOT) -> list[Planned]:
    """The whole DAG of a configuration, whatever of it has been made already.

    Args:
        arguments: Snakemake's own: ``--configfile …``, ``--config …``.
        where: folder to start it in.

    Raises:
        RuntimeError: Snakemake refuses; its own words.
    """
    run = subprocess.run([sys.executable, __file__, *arguments], cwd=where, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(run.stdout + run.stderr)
    rows = json.loads(run.stdout.splitlines()[-1])
    rows.sort(key=lambda row: (row["rule"], *row["wildcards"].items()))  # Snakemake's own order differs from run to run
    maker = {file: place for place, row in enumerate(rows) for file in row["output"]}
    return [
        Planned(
            row["rule"],
            row["wildcards"],
            row["gpus"],
            tuple(sorted({maker[file] for file in row["input"] if file in maker})),
        )
        for row in rows
    ]


class _Rows(logging.Filter):
    """Keeps what the log says about jobs. A filter, since Snakemake takes away handlers that it has not made itself."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if str(getattr(record, "event", None)) == "job_info":
            self.rows.append(
                {
                    "rule": record.rule_name,
                    "wildcards": dict(record.wildcards or {}),
                    "gpus": int(record.resources.get("gpu") or 0),
                    "input": list(map(str, record.input)),
                    "output": list(map(str, record.output)),
                }
            )
        return False


def main() -> None:
    from snakemake.cli import main as snakemake
    from snakemake.logging import logger

    kept = _Rows()
    logger.addFilter(kept)
    # What a profile grants must not cap what a job asks for.
    plan = ["--dry-run", "--forceall", "--cores", "64", "--resources", "gpu=1024"]
    try:
        snakemake([*plan, *sys.argv[1:]])
    except SystemExit as end:
        if end.code:
            raise
    print(json.dumps(kept.rows))


if __name__ == "__main__":
    main()
