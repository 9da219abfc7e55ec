"""Whole files that a run's analyses, its page, a broken-off optimisation and an export leave, each with its reader."""

import random
from collections.abc import Callable
from pathlib import Path

from embedgrad_core.files import UserError, sha256_of_file, write_json, write_jsonl

# Kind → form, and the file's name; those of FOREIGN are read by other people's packages alone.
ANALYSES = {"anchoring": "anchoring.json", "lat": "lat.json", "entropy": "entropy.json", "ladder": "ladder.json",
            "recovery": "recovery.json"}  # fmt: skip
PAGE = {"page": "before.jsonl", "provenance": "optimize.run.json", "split": "split.json", "tables": "audit.csv"}
EXPORTS = {"adapter": "adapter_config.json", "adapter_weights": "adapter_model.safetensors", "merged": "config.json",
           "merged_weights": "model.safetensors", "embeds": "prompt_embeds.safetensors"}  # fmt: skip
FOREIGN = ("adapter", "adapter_weights", "embeds")
FORMS = {
    **dict.fromkeys((*ANALYSES, "provenance", "split", "adapter", "merged"), "json"),
    **dict.fromkeys(("state", "adapter_weights", "merged_weights", "embeds"), "safetensors"),
    "page": "jsonl",
    "tables": "csv",
}


def place_and_reader(kind: str, folder: Path, tiny: Callable[[], object]) -> tuple[Path, Callable[[], object]]:
    """The specimen's path and what the suite does with it; ``tiny`` makes a model where one is needed."""
    if kind == "state":
        return _state(folder, tiny())
    return _export(kind, folder, tiny()) if kind in EXPORTS else _run(kind, folder)


def _run(kind: str, folder: Path) -> tuple[Path, Callable[[], object]]:
    """A run of one cell with all its analyses."""
    from embedgrad.reporting import analyses, recovery
    from embedgrad.reporting.claims import check_claims, read_claims
    from embedgrad.reporting.figures.drawing import styled
    from embedgrad.reporting.figures.lat import lat
    from embedgrad.reporting.figures.prompt import anchoring
    from embedgrad.reporting.ladder import ladder_rows
    from embedgrad.reporting.metrics import metrics_from_files
    from embedgrad.reporting.page import collect as page
    from embedgrad.reporting.page import render
    from embedgrad.reporting.results.cells import read_cells
    from embedgrad.reporting.results.collected import collect
    from embedgrad.tasks.splitting.prepare import verify

    header = Path("config/cells.tsv").read_text().splitlines()[0]
    (folder / "cells.tsv").write_text(f"{header}\nsums\tsums\t\ttiny\t50.00\t90.00\t+40.00\t0.01\t2\n")
    (cell,) = cells = read_cells(folder / "cells.tsv")
    home = folder / "sums" / "tiny" / "seed0"
    data = folder / "data" / "sums"
    chance = random.Random(0)
    items = [{"id": f"s{n}", "input": f"{n}+1", "target": "2", "answer": "2", "level": None} for n in range(4)]
    graded = [
        {"id": f"s{n}", "output": f"answer {n}", "n_tokens": 9, "stop": "eos", "entropy_bits": 0.2, "extracted": "2",
         "correct": n % 2 == 0, "failure": "none" if n % 2 == 0 else "wrong", "reason": ""} for n in range(4)
    ]  # fmt: skip
    for name in ("train", "dev", "test"):
        write_jsonl(data / f"{name}.jsonl", items)
    write_jsonl(folder / "sums" / "tiny" / "before.jsonl", graded)
    write_jsonl(home / "after.jsonl", graded)
    for name, report in _reports(chance).items():
        write_json((home.parent if name in ("ladder", "recovery") else home) / f"{name}.json", report)
    write_json(
        home / "optimize.run.json", {"protocol": "a" * 64, "best_epoch": 1, "epochs_run": 2, "versions": {"torch": "2"}}
    )
    files = {f"{name}.jsonl": sha256_of_file(data / f"{name}.jsonl") for name in ("train", "dev", "test")}
    ids = {name: [item["id"] for item in items] for name in ("train", "dev", "test")}
    write_json(data / "split.json", {"files": files, "ids": ids, "task": "sums", "source": {"kind": "mirror"}})
    (folder / "audit.csv").write_text('check,sentence\nn,"a|b"\nm,c\n')
    metrics_from_files(
        cell, 0, test=data / "test.jsonl", before=folder / "sums" / "tiny" / "before.jsonl", after=home / "after.jsonl",
        optimize_run=home / "optimize.run.json", split=data / "split.json", out=home / "metrics.json",
    )  # fmt: skip
    (outcome,) = outcomes = collect(cells, folder, [0])
    claims = read_claims("config/claims.tsv")
    (line,) = page.table(outcomes, "snakemake")
    calls = 0

    def rarely(work: Callable[[], object]) -> None:
        """What is slow, with every 25th mutant that got so far."""
        nonlocal calls
        calls += 1
        if calls % 25 == 0:
            work()

    def drawn() -> None:
        check_claims(claims, cells, outcomes, folder)
        with styled():
            anchoring(cells, folder, [0]), lat(cells, folder, [0])

    def prompts() -> None:
        analyses.write_rows(analyses.prompt_rows(outcomes, folder), folder / "out.csv")
        rarely(drawn)

    def shown() -> None:
        """The cell's fold-out and the tables of the page; a cell that can show no examples says why."""
        found = page.foldout(outcome, folder, line)
        page.tables(folder)
        rarely(lambda: render.write_page(outcomes, cells, folder, folder / "page.html", seeds=[0]))
        if found["why"] and "no outputs" not in found["why"]:
            raise UserError(found["why"])
        analyses.seed_rows(outcomes)

    def certified() -> None:
        shown()
        verify(data)

    # Pictures and resampling take the time and read nothing of their own.
    render._figures, page.as_image, page.training_curves = (lambda *_: []), (lambda _: ""), (lambda *_: None)
    analyses.crossed_bootstrap = lambda gains: (sum(map(sum, gains)), 0.0, 0.0)
    readers = {
        "ladder": lambda: ladder_rows(outcomes, folder),
        "recovery": lambda: recovery.rank(outcomes, folder),
        "split": certified,
    }
    if kind in ANALYSES:
        return (home.parent if kind in ("ladder", "recovery") else home) / ANALYSES[kind], readers.get(kind, prompts)
    places = {"page": home.parent, "provenance": home, "split": data, "tables": folder}
    return places[kind] / PAGE[kind], readers.get(kind, shown)


def _reports(chance: random.Random) -> dict[str, dict]:
    near = {"p": 0.5, "rank": 1, "nearest": "a", "nearest_id": 3}
    sides = {side: {"cosine": near, "softmax": near} for side in ("before", "after", "random")}
    over_items = {"items": [0.2, 0.8], "both": [0.1, 0.9], "shuffled": [-1.0, 1.0], "displaced": [0.1, 0.0]}
    reading = {"delta": 0.5, "band": [0.1, 0.9], "random": [-1.0, 1.0], **over_items}
    accuracy = {"held_out": 0.9, "random": {"q975": 0.8}, "shuffled": {"mean": 0.5, "q975": 0.9}}
    readings = {"prompt_mean": reading | {"items": None, "both": None}, "input_last": reading}
    reader = {
        "layers": [{"layer": n, "accuracy": accuracy, "readings": readings} for n in range(3)],
        "summary": {"prompt_mean": {"layers_above_zero": 2, "layers": 3}},
    }
    counts = {"correct": 1, "n": 4}
    protocol = {"layout": "bare", "limit_share": 1.0, "stop_rule": "family", "strict": False}
    part = {"mean": chance.random(), "low": 0.0, "high": 1.0}
    return {
        "anchoring": {
            "positions": [{"position": n, "token_id": n, "token": "a", "drift": 0.1, **sides} for n in range(3)],
            "summary": {"mean_drift": 0.1, "nearest_token_unchanged": 2, "positions": 3},
            "round_trip": {"accuracy": {"before": 0.1, "after": 0.9, "snapped": 0.1, "random": 0.2}},
        },
        "lat": {"readers": dict.fromkeys(("template", "responses"), reader)},
        "entropy": {"summary": {"prompt": part, "text": part}},
        "ladder": {"rungs": {"bare": {**counts, "levels": {"1": counts}}, "few_shot": {"left_out": "too long"}}},
        "recovery": {"own": protocol, "protocols": [{"protocol": protocol, "levels": {"": counts}}]},
    }


def _state(folder: Path, frozen: object) -> tuple[Path, Callable[[], object]]:
    """A broken-off optimisation's state after one step of its second epoch."""
    import torch

    from embedgrad_core.training.loop import Settings, _is_over, best_epoch
    from embedgrad_core.training.resume import EpochProgress, Snapshot, load_state, save_state
    from embedgrad_core.training.trainable import Trainable

    def begun() -> tuple:
        vectors = torch.ones(3, frozen.width, requires_grad=True)
        return Trainable(frozen, {"vectors": vectors}, 3, None, None), torch.optim.Adam([vectors], lr=0.01)

    def step(trained: Trainable, optimizer: torch.optim.Optimizer) -> None:
        trained.leaves["vectors"].square().sum().backward()
        optimizer.step()

    trained, optimizer = begun()
    step(trained, optimizer)
    best = {"vectors": trained.leaves["vectors"].detach()}
    line = {
        "epoch": 0,
        "train_loss": None,
        "dev_loss": 1.5,
        "dev_accuracy": 0.5,
        "drift": 0.1,
        "seconds": 1.0,
        "best": True,
    }
    path, settings = folder / "optimize.state", Settings()
    save_state(path, "r" * 64, Snapshot.take(optimizer, trained, best, [line], EpochProgress(1, 2.0, 1.0, 30, 0.5)))

    def read() -> None:
        trained, optimizer = begun()
        found = load_state(path, "r" * 64, trained)
        best, history, progress = found.restore(optimizer, trained)
        step(trained, optimizer)
        (
            _is_over(history, settings),
            history and best_epoch(history, settings),
            progress.after(1.0, 1.0, 5, 0.1, 0.1),
            best["vectors"].sum().item(),
        )

    return path, read


def _export(kind: str, folder: Path, frozen: object) -> tuple[Path, Callable[[], object]]:
    """An export; ours reads a merged checkpoint back, PEFT and safetensors the others as their cards' lines do."""
    import copy

    from embedgrad_core import Layout, PromptEmbedding, Slot, load_model
    from embedgrad_core.export import export

    base = folder / "base"
    frozen.network.save_pretrained(base)
    frozen.tokenizer.save_pretrained(base)
    model = load_model(str(base), device="cpu", log=lambda line: None)
    prompt = PromptEmbedding.from_text(model, Slot.place(model.tokenizer, Layout(), "Name the mood."))
    to = {"adapter": "peft", "adapter_weights": "peft", "embeds": "vllm"}.get(kind, "merged")
    export(to, model, prompt, folder / "made")
    made = folder / "made"

    def adapter() -> None:
        from peft import PeftModel

        PeftModel.from_pretrained(copy.deepcopy(model.network), str(made))

    def merged() -> None:
        load_model(str(made), device="cpu", log=lambda line: None)

    def embeds() -> None:
        from safetensors.torch import load_file

        load_file(str(made / EXPORTS["embeds"]))["before"].sum().item()

    return made / EXPORTS[kind], {"peft": adapter, "vllm": embeds, "merged": merged}[to]
