"""A published protocol through our scoring: lm-eval's own task on local data, beside lm-eval's own model in one process.

The task is lm-eval's as installed: its text, options and metric. Ours (model ``embedgrad``) takes what stands before every item as
its text prompt, not optimised, and reads the item after it; lm-eval's model ``hf`` reads the whole text. The accuracy is ours on
all items; the log-likelihoods of both are compared on the first ``--beside``. What to expect: docs/calibration.md.

    python benchmarks/calibrate.py piqa --model DIR/models/SmolLM2-135M-Instruct --data PIQA/data
    python benchmarks/calibrate.py bbh --model DIR/models/SmolLM2-135M-Instruct --data DIR/data
"""

import argparse
import json
import tempfile
from pathlib import Path

import lm_eval
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml
from measure import machine, write

from embedgrad.reporting.statistics import wilson
from embedgrad_core import Layout, PromptEmbedding, Slot, load_model
from embedgrad_core.files import write_jsonl
from embedgrad_core.lm_eval.model import EmbedGradLM

TASKS = Path(lm_eval.__file__).parent / "tasks"
Sides = tuple[dict, dict, str, str]  # lm-eval's task, the same without what the prompt says, the prompt, the separator


def piqa(data: Path, folder: Path) -> Sides:
    """Zero-shot PIQA, 1,838 validation questions; ``data``: piqa/data of https://github.com/ybisk/ybisk.github.io."""
    rows = [json.loads(line) for line in (data / "valid.jsonl").read_text(encoding="utf-8").splitlines()]
    labels = (data / "valid-labels.lst").read_text(encoding="utf-8").split()
    rows = [{**row, "label": int(label)} for row, label in zip(rows, labels, strict=True)]
    write_jsonl(folder / "piqa.jsonl", rows)
    task = load_yaml(TASKS / "piqa" / "piqa.yaml") | {"dataset_path": "json", "training_split": None}
    task["dataset_kwargs"] = {"data_files": {"validation": str(folder / "piqa.jsonl")}}
    return task, {**task, "doc_to_text": "{{goal}}\nAnswer:"}, "Question:", " "


def bbh(data: Path, folder: Path) -> Sides:
    """BBH causal judgement, 3-shot, 187 items; ``data``: folder with bbh_causal_judgement.json of suzgunmirac/BIG-Bench-Hard."""
    task = load_yaml(TASKS / "leaderboard" / "bbh_mc" / "causal_judgement.yaml")
    task |= {"dataset_path": "json", "dataset_name": None}
    task["dataset_kwargs"] = {
        "data_files": {"test": str(data / "bbh_causal_judgement.json")},
        "field": "examples",
    }
    shots = [f"Q: {each['input']}\nA: {each['target']}" for each in task["fewshot_config"]["samples"]]
    bare = {**task, "description": "", "num_fewshot": 0, "fewshot_config": None}
    return task, bare, task["description"] + "\n\n".join(shots), "\n\n"


def run(model: HFLM, task: dict, limit: int | None = None) -> tuple[dict[str, int], list[tuple[float, ...]]]:
    """How many items are right by each metric, and the options' log-likelihoods in nats of each item."""
    none = TaskManager(include_defaults=False)  # reading all of lm-eval's tasks takes longer than a small model
    found = lm_eval.simple_evaluate(model, tasks=[task], limit=limit, bootstrap_iters=0, task_manager=none)
    samples = sorted(found["samples"][task["task"]], key=lambda sample: sample["doc_id"])
    metrics = [metric["metric"] for metric in task["metric_list"]]
    correct = {metric: round(sum(sample[metric] for sample in samples)) for metric in metrics}
    return correct, [tuple(float(option[0]) for option in sample["filtered_resps"]) for sample in samples]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["piqa", "bbh"])
    parser.add_argument("--model", required=True, help="hub id or local folder")
    parser.add_argument("--data", required=True, type=Path, help="folder of the task's files")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--limit", type=int, help="only the first N items (default: all)")
    parser.add_argument("--beside", type=int, default=20, help="items that lm-eval's own model scores as well")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()

    frozen = load_model(arguments.model, device=arguments.device, dtype=arguments.dtype)
    with tempfile.TemporaryDirectory() as folder:
        task, bare, prompt, separator = {"piqa": piqa, "bbh": bbh}[arguments.task](arguments.data, Path(folder))
        file = Path(folder) / "prompt.safetensors"
        PromptEmbedding.from_text(frozen, Slot.place(frozen.tokenizer, Layout(separator=separator), prompt)).save(file)
        correct, scores = run(EmbedGradLM(str(file), frozen), bare, arguments.limit)
        n = len(scores)
        row = {
            "task": task["task"],
            "model": arguments.model,
            "correct": correct,
            "n": n,
            "machine": machine(frozen.device.type),
        }
        for metric, count in correct.items():
            low, high = wilson(count, n)
            print(f"embedgrad: {metric} {count} of {n}, {100 * count / n:.2f} % [{100 * low:.1f}, {100 * high:.1f}]")
        if arguments.beside:
            plain = HFLM(pretrained=frozen.network, tokenizer=frozen.tokenizer, batch_size=2)
            _, theirs = run(plain, task, arguments.beside)
            pairs = list(zip(scores, theirs, strict=False))
            gap = max(abs(a - b) for one, two in pairs for a, b in zip(one, two, strict=True))
            same = sum(one.index(max(one)) == two.index(max(two)) for one, two in pairs)
            print(f"hf beside it: the same option on {same} of {len(pairs)}, log-likelihoods within {gap:.1e} nats")
            row |= {"beside": len(pairs), "same_option": same, "largest_gap_nats": gap}
    if arguments.out:
        write(arguments.out, row)


if __name__ == "__main__":
    main()
