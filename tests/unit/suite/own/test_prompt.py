"""The method for a prompt of one's own: the Python API, the commands around it, and the README's examples as printed."""

import json
import sys
from dataclasses import asdict

import pytest
from commands import tuning
from tiny import REVIEWS, tiny_model

import embedgrad
from embedgrad.cli import main
from embedgrad.commands import arguments
from embedgrad_core import Settings, read_prompt_file
from embedgrad_core.files import Item, is_number


def test_the_prompt_file_remembers_how_it_is_used(prompt_file, home):
    tuned = embedgrad.load(prompt_file, log=lambda line: None)
    assert tuned.grading.row() == {
        "evaluator": "label",
        "options": {"labels": ["positive", "negative"]},
        "strict": False,
    }
    assert tuned.decoding.max_new_tokens == 12
    assert len(tuned.prompt.header["seen"]) == 16
    found = tuned.evaluate(home / "more_reviews.csv")
    assert (found.n, found.left_out) == (20, 3)
    kept = tuned.evaluate(home / "more_reviews.csv", keep_seen=True)
    assert (kept.n, kept.left_out) == (23, 0)
    assert found.after == sum(row["after"]["correct"] for row in found.rows)
    with pytest.raises(embedgrad.UserError, match="trained on every one"):
        tuned.evaluate(home / "reviews.csv")


def test_evaluate_prints_what_the_api_finds(prompt_file, home, capsys):
    data = ["--prompt-file", str(prompt_file), "--data", str(home / "more_reviews.csv")]
    assert main(["evaluate", *data, "--json", "--out", str(home / "graded.jsonl")]) == 0
    printed = json.loads(capsys.readouterr().out)
    found = embedgrad.load(prompt_file, log=lambda line: None).evaluate(home / "more_reviews.csv", log=print)
    assert printed == json.loads(json.dumps(found.row()))
    assert len((home / "graded.jsonl").read_text().splitlines()) == 20
    assert main(["evaluate", *data]) == 0
    assert str(found) in capsys.readouterr().out


def test_the_card_says_what_evaluate_measured(prompt_file, home, capsys):
    """From one command to the next: held out, or not."""
    numbers = ["evaluate", "--prompt-file", str(prompt_file), "--json", "--data"]
    export = ["export", "--prompt-file", str(prompt_file), "--to", "vllm", "--metrics", str(home / "m.json")]
    for flags, told in (
        ([str(home / "more_reviews.csv")], "20 held-out items of more_reviews.csv (3 more"),
        (
            [str(home / "reviews.csv"), "--keep-seen"],
            "16 items of reviews.csv, **16 of which the prompt was trained on**",
        ),
    ):
        assert main([*numbers, *flags]) == 0
        (home / "m.json").write_text(capsys.readouterr().out.splitlines()[-1])
        out = home / f"card{len(flags)}"
        assert main([*export, "--out", str(out)]) == 0
        assert f"Measured on {told}" in (out / "README.md").read_text()
    capsys.readouterr()
    found = json.loads((home / "m.json").read_text())
    (home / "m.json").write_text(json.dumps(found | {"n": 0}))
    assert main([*export, "--out", str(home / "card3")]) == 2
    assert capsys.readouterr().err.startswith(f"embedgrad export: {home / 'm.json'}: key 'n' is 0")
    tuned = embedgrad.load(prompt_file, log=lambda line: None)
    assert tuned.evaluate(home / "reviews.csv", keep_seen=True).row()["measured"] == found["measured"]
    assert found["measured"]["model"]["resolved"] == tuned.frozen.resolved


def test_generate_from_arguments_a_file_and_the_keyboard(prompt_file, home, capsys, monkeypatch):
    tuned = embedgrad.load(prompt_file, log=lambda line: None)
    wanted = tuned.generate(["a lovely film", "I slept"])
    assert tuned.generate("I slept") == wanted[1]
    flags = ["generate", "--prompt-file", str(prompt_file)]
    assert main([*flags, "a lovely film", "I slept"]) == 0
    assert capsys.readouterr().out == "\n".join(wanted) + "\n"
    (home / "inputs.txt").write_text("a lovely film\n\nI slept\n")
    assert main([*flags, "--file", str(home / "inputs.txt"), "--json", "--both"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["output"] for row in rows] == wanted
    assert [row["text_prompt_output"] for row in rows] == tuned.generate(["a lovely film", "I slept"], optimized=False)
    keyboard = (home / "inputs.txt").open(encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", keyboard)
    assert main(flags) == 0
    assert capsys.readouterr().out.endswith("\n".join(wanted) + "\n")


def test_only_line_breaks_part_the_inputs_of_a_file(prompt_file, home, capsys):
    texts = ["one\u2028two", "three\ffour\u0085five"]
    (home / "marks.txt").write_bytes("\r\n".join(texts).encode())
    assert main(["generate", "--prompt-file", str(prompt_file), "--file", str(home / "marks.txt"), "--json"]) == 0
    lines = capsys.readouterr().out.rstrip("\n").split("\n")
    assert [json.loads(line)["input"] for line in lines] == texts


def test_inspect_shows_every_token(prompt_file, home, capsys):
    assert main(["inspect", str(prompt_file), "--png", str(home / "drift.png")]) == 0
    printed = capsys.readouterr().out
    assert "Determine whether the statement is positive or negative." in printed
    assert (home / "drift.png").read_bytes().startswith(b"\x89PNG")
    assert main(["inspect", str(prompt_file), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    tuned = embedgrad.load(prompt_file, log=lambda line: None)
    assert [row["drift"] for row in report["positions"]] == pytest.approx(tuned.prompt.drift.tolist())
    assert f"{report['positions'][0]['drift']:.3f}" in printed


def test_compare_two_prompts(prompt_file, home, capsys):
    flags = ["compare", str(prompt_file), str(prompt_file), "--data", str(home / "more_reviews.csv")]
    assert main([*flags, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["vectors"]["vector_cosine"] == pytest.approx(1)
    assert found["answers"]["same_text"] == found["answers"]["n"] == 20
    assert found["answers"]["left_out"] == 3
    assert found["answers"]["p"] == 1
    assert main(flags) == 0
    said = capsys.readouterr().out
    assert "20 answers are the same text" in said
    assert "both checked by label under max_new_tokens 12, stop_rule family, as a is used; 3 items" in said
    assert main([*flags, "--keep-seen", "--json"]) == 0
    kept = json.loads(capsys.readouterr().out)["answers"]
    assert (kept["n"], kept["left_out"]) == (23, 0)
    assert main([*flags, "--max-new-tokens", "4"]) == 0
    assert (
        "under max_new_tokens 4, stop_rule family, as a is used; b's own file says otherwise" in capsys.readouterr().out
    )


def test_rows_in_memory_are_read_as_a_files(prompt_file, home):
    tuned = embedgrad.load(prompt_file, log=lambda line: None)
    lines = (home / "more_reviews.csv").read_text().splitlines()[1:]
    rows = [dict(zip(("text", "label"), line.rsplit(",", 1), strict=True)) for line in lines]
    told = []
    found = tuned.evaluate(rows, on_progress=lambda done, total: told.append((done, total)))
    of_file = tuned.evaluate(home / "more_reviews.csv").row()
    assert of_file["measured"]["data"] == "more_reviews.csv"
    of_file["measured"]["data"] = None
    assert found.row() == of_file
    assert told == [(done, 40) for done in range(1, 41)]


def test_json_of_optimize_and_export(prompt_file, home, capsys):
    data = ["--data", str(home / "reviews.csv"), "--evaluator", "exact", "--max-new-tokens", "9", "--epochs", "1"]
    out = home / "again.safetensors"
    base = ["optimize", "--model", str(home / "model"), "--prompt", "Is it good?", *data, "--out", str(out), "--json"]
    assert main(base) == 0
    printed = capsys.readouterr()
    row = json.loads(printed.out)
    assert (row["out"], row["items"], len(row["history"])) == (str(out), {"train": 13, "dev": 3}, 2)
    assert "step-0 gate passed" in printed.err
    flags = ["--prompt-file", str(prompt_file), "--to", "vllm", "--out", str(home / "embeddings"), "--json"]
    assert main(["export", *flags]) == 0
    assert json.loads(capsys.readouterr().out)["to"] == "vllm"


def test_a_chat_template_that_nobody_asked_for_is_one_line(home, tmp_path, capsys):
    hint = "hint: this model has a chat template; an instruction-tuned one may answer better with --layout chat"
    for flags, told in (([], 1), (["--layout", "bare"], 0), (["--layout", "chat"], 0)):
        out = tmp_path / f"{'-'.join(flags)}.safetensors"
        assert main([str(word) for word in tuning(home, out, "--epochs", 1, "--threads", 1, *flags)]) == 0
        assert capsys.readouterr().out.splitlines().count(hint) == told
        assert read_prompt_file(out)[1]["layout"]["kind"] == (flags[-1] if flags else "bare")


def test_help_of_optimize_has_the_defaults(capsys):
    with pytest.raises(SystemExit):
        main(["optimize", "--help"])
    printed = " ".join(capsys.readouterr().out.split("options:")[1].split())
    for name, default in asdict(Settings()).items():
        if default is not None and default is not False:
            of_flag = printed.partition(f" --{name.replace('_', '-')} ")[2].partition(" --")[0]
            assert f"default: {default:g}" in of_flag if is_number(default) else f"default: {default}" in of_flag, name


def test_a_small_dev_split_chooses_across_folds(home, capsys):
    data = ["--data", str(home / "reviews.csv"), "--evaluator", "exact", "--max-new-tokens", "9", "--epochs", "2"]
    out = home / "folds.safetensors"
    base = ["optimize", "--model", str(home / "model"), "--prompt", "Is it good?", *data, "--out", str(out), "--json"]
    assert main([*base, "--folds", "3"]) == 0
    printed = capsys.readouterr()
    row = json.loads(printed.out)
    assert [line["folds"] for line in row["history"]] == [3, 3, 3]
    assert sum(line["best"] for line in row["history"]) == 1
    assert "fold 3 of 3: 11 items to train on, 5 left out" in printed.err
    assert f"all 16 items, {row['best_epoch']} epochs: the lowest loss on items left out" in printed.err
    assert not list(home.glob("folds*.state"))
    assert main([*base, "--folds", "1"]) == 2
    assert "folds is 1; it must be 2 to the number of items, 16" in capsys.readouterr().err


def test_progress_is_told_beside_the_answers(prompt_file, home, capsys):
    assert (
        main(["evaluate", "--prompt-file", str(prompt_file), "--data", str(home / "more_reviews.csv"), "--json"]) == 0
    )
    printed = capsys.readouterr()
    assert json.loads(printed.out)["n"] == 20
    assert "answers: 40 of 40 items (100 %), " in printed.err
    assert main(["generate", "--prompt-file", str(prompt_file), "a", "b"]) == 0
    printed = capsys.readouterr()
    assert "answered" not in printed.out
    assert "answers: 2 of 2 items (100 %), " in printed.err


COMMIT = "0123456789" * 4


@pytest.fixture
def asked(prompt_file, home, tmp_path, monkeypatch):
    """A prompt made for a hub's model, and what was asked of the hub."""
    tuned = embedgrad.load(prompt_file, log=lambda line: None)
    tuned.prompt.header["model"] |= {"name": "me/model", "revision": "main", "resolved": COMMIT}
    tuned.save(tmp_path / "p.safetensors")
    loads = []

    def load(name, *, revision="main", **_):
        loads.append((name, revision))
        return tuned.frozen

    monkeypatch.setattr("embedgrad_core.model.loading.load_model", load)
    monkeypatch.setattr("embedgrad.api.load_model", load)
    return loads


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ([], ("me/model", COMMIT)),
        (["--revision", "v2"], ("me/model", "v2")),
        (["--model", "me/model"], ("me/model", COMMIT)),
        (["--model", "you/copy"], ("you/copy", "main")),
        (["--model", "you/copy", "--revision", "v2"], ("you/copy", "v2")),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "generate", "compare", "inspect", "export"])
def test_every_command_asks_for_the_commit_the_prompt_was_made_for(
    home, tmp_path, asked, capsys, command, more, wanted
):
    path = str(tmp_path / "p.safetensors")
    first = {
        "evaluate": ["--prompt-file", path, "--data", str(home / "more_reviews.csv")],
        "generate": ["--prompt-file", path, "x"],
        "compare": [path, path],
        "inspect": [path],
        "export": ["--prompt-file", path, "--to", "vllm", "--out", str(tmp_path / "x"), "--licence", "mit"],
    }
    arguments._load.cache_clear()
    assert main([command, *first[command], *more, "--sha256", "sha256:0"]) == 2
    assert "wanted is sha256:0" in capsys.readouterr().err
    arguments._load.cache_clear()
    assert main([command, *first[command], *more]) == 0
    assert asked == [wanted, wanted]
    arguments._load.cache_clear()


def test_the_api_asks_for_the_same_commit(tmp_path, asked):
    embedgrad.load(tmp_path / "p.safetensors")
    embedgrad.load(tmp_path / "p.safetensors", "you/copy")
    embedgrad.load(tmp_path / "p.safetensors", revision="v2")
    assert asked == [("me/model", COMMIT), ("you/copy", "main"), ("me/model", "v2")]


def test_export_by_the_command(prompt_file, home, capsys):
    assert main(["export", "--prompt-file", str(prompt_file), "--to", "merged", "--out", str(home / "merged")]) == 0
    assert (home / "merged" / "README.md").exists()
    assert main(["export", "--prompt-file", str(prompt_file), "--to", "merged", "--out", str(home / "merged")]) == 2
    assert "exists already" in capsys.readouterr().err


def test_items_in_memory_and_a_loaded_model(home, tokenizer):
    items = [Item(str(place), f"{text} {place}", label, label) for place in range(3) for text, label in REVIEWS]
    frozen = tiny_model(tokenizer)
    tuned = embedgrad.optimize(
        frozen,
        "positive or negative?",
        items[:8],
        dev=items[8:],
        labels=["positive", "negative"],
        epochs=1,
        max_new_tokens=12,
        log=lambda line: None,
    )
    assert tuned.history[-1]["epoch"] == 1
    assert tuned.frozen is frozen
