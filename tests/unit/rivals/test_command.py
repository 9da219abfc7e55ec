"""``embedgrad rival`` from the list to the answers, and its one-line refusals."""

import pytest
from tiny import REVIEWS, tiny_model

from embedgrad.cli import main
from embedgrad.files import read_items
from embedgrad.rivals import environment
from embedgrad.rivals.table import RIVALS
from embedgrad_core import Layout, Slot, load_model
from embedgrad_core.files import read_json, read_jsonl, write_json, write_jsonl
from embedgrad_core.objective import encode

FEW = ("--epochs", 2, "--batch-size", 2, "--threads", 1, "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer):
    folder = tmp_path_factory.mktemp("rival")
    tiny_model(tokenizer).network.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    rows = [
        {"id": f"r/{n}", "input": text, "target": label, "answer": label, "level": None}
        for n, (text, label) in enumerate(REVIEWS)
    ]
    write_jsonl(folder / "items.jsonl", rows)
    return folder


@pytest.fixture
def embedgrad(capsys):
    def run(*words):
        capsys.readouterr()
        return main(list(map(str, words))), capsys.readouterr()

    return run


def tokens(folder):
    """Of one pass over the items, as the command lays them out."""
    frozen = load_model(str(folder / "model"), dtype="float32", device="cpu")
    slot = Slot.place(frozen.tokenizer, Layout(target_prefix="\n"), "positive or negative?")
    return sum(one.length for one in encode(slot, read_items(folder / "items.jsonl"), frozen.context))


def fit(embedgrad, folder, name, *more):
    data = ("--train", folder / "items.jsonl", "--dev", folder / "items.jsonl")
    own = (
        "--out",
        folder / f"{name}.st",
        "--history",
        folder / f"{name}.jsonl",
        "--run-info",
        folder / f"{name}.run.json",
    )
    prompt = ("--model", folder / "model", "--prompt", "positive or negative?")
    return embedgrad("rival", "fit", "--rival", name, *prompt, *data, *own, *FEW, *more)


@pytest.mark.parametrize("name", ["lora", "p_tuning_mlp", "prefix_tuning", "autoprompt", "few_shot_4", "self_refine_1"])
def test_a_rival_is_fitted_and_answers(embedgrad, folder, name):
    status, said = fit(embedgrad, folder, name)
    assert status == 0, said.err
    run, history = read_json(folder / f"{name}.run.json"), read_jsonl(folder / f"{name}.jsonl")
    gradient = bool(RIVALS[name].rates)
    assert (run["trained_parameters"] > 0) is gradient
    assert run["settings"] is None or run["settings"]["learning_rate"] == RIVALS[name].rates[1]
    assert run["epochs_run"] == max(0, len(history) - 1) == (0 if RIVALS[name].family == "at_test_time" else 2)
    assert run["item_forwards"] >= 3 * 4 * run["epochs_run"]
    assert run["epochs_allowed"] == (None if RIVALS[name].family == "at_test_time" else 2)
    # Two epochs of four items; a search tries candidates besides, a third of a step each.
    trained = run["epochs_run"] * tokens(folder)
    if name == "autoprompt":
        assert trained < run["trained_tokens"] < trained * (1 + RIVALS[name].settings["candidates"] / 3)
    else:
        assert run["trained_tokens"] == trained
    assert (run["fit_cpu_seconds"] > 0) is (run["epochs_run"] > 0)
    assert 0 <= run["memory_above_loading_bytes"] < run["peak_memory_bytes"]
    assert not (folder / f"{name}.state").exists()
    out = folder / f"{name}.outputs.jsonl"
    status, said = embedgrad(
        *("rival", "answer", "--fitted", folder / f"{name}.st", "--model", folder / "model", "--threads", 1),
        *("--data", folder / "items.jsonl", "--out", out, "--run-info", folder / "answer.run.json", "--device", "cpu"),
        *("--max-new-tokens", 4, "--state", folder / "answer.state"),
    )
    assert status == 0, said.err
    rows, answered = read_jsonl(out), read_json(folder / "answer.run.json")
    assert [row["id"] for row in rows] == [f"r/{n}" for n in range(4)]
    assert answered["calls"] >= 1
    # Two layers with keys and values of two heads of eight numbers, in float32.
    config = load_model(str(folder / "model"), dtype="float32", device="cpu").network.config
    width = config.hidden_size // config.num_attention_heads
    assert answered["kv_bytes_a_position"] == 2 * config.num_hidden_layers * config.num_key_value_heads * width * 4
    assert answered["new_tokens"] == sum(row["n_tokens"] for row in rows)
    assert not (folder / "answer.state").exists()


def test_the_list_names_them_all(embedgrad):
    status, said = embedgrad("rival", "list")
    assert status == 0
    assert [line.split()[0] for line in said.out.splitlines()] == list(RIVALS)


@pytest.mark.parametrize(
    ("name", "more", "told"),
    [
        ("nothing", (), "rival 'nothing' is not known; there are"),
        ("lora", ("--set", "rank"), "--set rank: write it as KEY=VALUE"),
        ("lora", ("--set", "rank=big"), "setting rank is 'big'; it must be a int"),
        ("lora", ("--set", 'targets=["nowhere"]'), "rival lora: PEFT does not take"),
        ("lora", ("--learning-rate", "-1"), "learning_rate is -1.0; it must be a positive number"),
        ("textgrad", (), "rival textgrad goes by graded answers; say how they are checked"),
        ("few_shot_16", (), "16 examples of 4 training items"),
        ("lora", ("--epochs", "0"), "argument --epochs"),
        ("lora", ("--learning-rate", "0"), "learning_rate is 0.0; it must be a positive number"),
        ("lora", ("--set", "rank=-1"), "rival lora: setting rank is -1; it must be 1 or more"),
        ("p_tuning_v2", ("--set", "length=-3"), "rival p_tuning_v2: setting length is -3; it must be 0 or more"),
        ("few_shot_1", ("--set", "shots=-1"), "setting shots is -1; it must be 1 or more"),
        ("gcg", ("--set", "candidates=0"), "setting candidates is 0; it must be 1 or more"),
        ("gcg", ("--set", "top=0"), "setting top is 0; it must be 1 or more"),
        ("autoprompt", ("--set", "positions=some"), "setting positions is 'some'; it must be one of one, all"),
        (
            "prefix_tuning",
            ("--set", "start=vocabulary"),
            "setting start is 'vocabulary'; it must be one of text, random",
        ),
        ("self_refine_1", ("--set", "rounds=0"), "setting rounds is 0; it must be 1 or more"),
        ("qlora", (), "rival qlora needs bitsandbytes, which is not installed"),
        ("fine_tuning", ("--dtype", "bfloat16"), "must be float32; give --dtype float32"),
    ],
    ids=str,
)
def test_a_bad_request_is_one_line(embedgrad, folder, monkeypatch, name, more, told):
    if name == "textgrad":  # the refusal is the same with and without the library
        monkeypatch.setattr(environment, "find_spec", lambda library: True)
    if name == "qlora":
        try:
            import bitsandbytes  # noqa: F401

            pytest.skip("bitsandbytes is installed")
        except ImportError:
            pass
    status, said = fit(embedgrad, folder, name, *more)
    assert status == 2
    assert told in said.err
    assert said.err.count("\n") == 1


def test_there_is_no_rate_to_choose_where_a_rival_has_none(embedgrad, folder, tmp_path):
    for name, told in (("few_shot_4", "without a learning rate"), ("lora", "without losses on dev")):
        home = tmp_path / name
        settings = {"learning_rate": 0.1} if name == "lora" else None
        write_json(home / "fit.run.json", {"rival": name, "best_epoch": 0, "settings": settings})
        write_jsonl(home / "fit.jsonl", [{"epoch": 0, "dev_loss": None}])
        status, said = embedgrad(
            *("rival", "choose", "--fits", home / "x.st", "--chosen", tmp_path / "c.json", "--out", tmp_path / "o.st")
        )
        assert (status, said.err.count("\n")) == (2, 1)
        assert f"x.st: a fit of {name} {told}; there is nothing to choose from" in said.err


def test_a_prompt_file_is_no_rival(embedgrad, folder):
    (folder / "x.st").write_bytes(b"{}")
    status, said = embedgrad(
        *("rival", "answer", "--fitted", folder / "x.st", "--model", folder / "model"),
        *("--data", folder / "items.jsonl", "--out", folder / "x.jsonl"),
    )
    assert (status, said.err.count("\n")) == (2, 1)
    assert "x.st: not a fitted rival" in said.err
