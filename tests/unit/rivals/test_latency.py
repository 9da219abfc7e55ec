"""Latency: what is run, in what order and at what length; that times are taken of it, never which."""

import math
from dataclasses import replace

import pytest
import torch
from tiny import REVIEWS, tiny_model

from embedgrad.analyses.baselines.text_answers import text_vectors
from embedgrad.cli import main
from embedgrad.rivals import latency as measuring
from embedgrad.rivals.fitting import Fitting, fit_rival
from embedgrad.rivals.latency import Timing, Way, beside, latency, rival_way, spread_over_lengths, text_way
from embedgrad.rivals.rival import Measure
from embedgrad.rivals.table import RIVALS, rival_named
from embedgrad_core import Decoding, Layout, Settings, decode
from embedgrad_core.decoding.greedy import INTERVAL, greedy
from embedgrad_core.files import Item, UserError, read_json, write_jsonl
from embedgrad_core.model.kernels import FrozenLinear, freeze_linears, packed_weights

TEXT = "positive or negative?"
ITEMS = [Item(f"r/{n}", text, label, label) for n, (text, label) in enumerate(REVIEWS)]
FEW = Measure(repeats=2, items=2, tokens=5)


def quiet(line):
    pass


@pytest.fixture(scope="module")
def fitted(tokenizer):
    """Fits of one epoch, each made once."""
    made = {}

    def fit(name):
        if name not in made:
            settings = Settings(RIVALS[name].rates[0] if RIVALS[name].rates else 1.0, 1, batch_size=1, patience=0)
            fitting = Fitting(Layout(), TEXT, ITEMS, ITEMS, settings, log=quiet)
            made[name] = fit_rival(tiny_model(tokenizer), rival_named(name), fitting)[0]
        return made[name]

    return fit


@pytest.mark.parametrize("layout", [Layout(), Layout("chat")])
def test_an_answer_has_all_its_tokens_where_a_stop_token_comes(tokenizer, fitted, layout):
    frozen, artefact = tiny_model(tokenizer), fitted("prompt_tuning_text")
    artefact = replace(artefact, slot=text_vectors(frozen, layout, TEXT)[0])
    whole = text_way(frozen, artefact).answer(ITEMS[0], 6).ids
    frozen.network.config.eos_token_id = whole[2]
    slot, vectors = text_vectors(frozen, layout, TEXT)
    ended = decode(frozen, slot, vectors, ITEMS[:1], Decoding(max_new_tokens=6))[0]
    assert (ended.stop, ended.n_tokens) == ("eos", whole.index(whole[2]) + 1)
    assert text_way(frozen, artefact).answer(ITEMS[0], 6).ids == whole
    assert len(whole) == 6


@pytest.mark.parametrize("graphed", [False, True])
def test_where_the_decoder_looks_seldom_an_answer_of_one_token_tells_of_the_first(
    tokenizer, fitted, monkeypatch, graphed
):
    """As on a GPU: 16 steps between two looks, growing or of fixed shapes."""
    way, limits = text_way(tiny_model(tokenizer), fitted("lora")), []
    usual = way.answer(ITEMS[0], 20)

    def seldom(frozen, slot, vectors, bodies, limit, *more, **flags):
        limits.append(limit)
        return greedy(frozen, slot, vectors, bodies, limit, *more, **flags, graphed=graphed)

    monkeypatch.setitem(INTERVAL, "cpu", 16)
    monkeypatch.setattr(measuring, "greedy", seldom)
    found = [way.answer(ITEMS[0], 20) for _ in range(2)]
    assert limits == [20, 1, 20, 1]
    assert [one.ids for one in found] == [usual.ids] * 2
    assert all(one.first > 0 and math.isfinite(one.further) for one in found)


@pytest.mark.parametrize(
    "name", ["prompt_tuning_text", "lora", "adalora", "ia3", "fine_tuning", "prefix_text", "autoprompt", "few_shot_4"]
)
def test_a_method_is_measured_and_leaves_the_text_prompt_as_it_was(tokenizer, fitted, name):
    frozen, artefact = tiny_model(tokenizer), fitted(name)
    before = text_way(frozen, artefact).answer(ITEMS[0], 5).ids
    found = latency(frozen, artefact, ITEMS, FEW, log=quiet)
    assert text_way(frozen, artefact).answer(ITEMS[0], 5).ids == before
    assert not [module for module in frozen.network.modules() if type(module).__module__.startswith("peft")]
    for side in (found, found["text_prompt"]):
        assert side["first_token_ms"] > 0
        assert math.isfinite(side["token_ms"])
    for ratio in ("first_token_ratio", "token_ratio"):
        low, high = found["quartiles"][ratio]
        assert 0 < low <= found[ratio] <= high < math.inf
    assert (found["calls"], found["repeats"], found["tokens"], len(found["items"])) == (1, 2, 5, 2)


def test_the_untrained_text_against_itself_gives_the_same_tokens(tokenizer, fitted):
    frozen, artefact = tiny_model(tokenizer), fitted("prompt_tuning_text")
    start = replace(artefact, tensors={"vectors": text_vectors(frozen, Layout(), TEXT)[1]})
    for item in ITEMS:
        one, other = (way(frozen, start).answer(item, 8) for way in (text_way, rival_way))
        assert one.ids == other.ids
        assert one.positions == other.positions
    found = latency(frozen, start, ITEMS, FEW, log=quiet)
    assert found["positions"] == found["text_prompt"]["positions"]


def test_examples_and_prefixes_are_counted_in(tokenizer, fitted):
    frozen = tiny_model(tokenizer)
    text, shown, prefixed, in_its_stead = (
        way.answer(ITEMS[1], 4).positions
        for way in (
            text_way(frozen, fitted("few_shot_4")),
            *(rival_way(frozen, fitted(name)) for name in ("few_shot_4", "prefix_tuning", "prefix_text")),
        )
    )
    k = fitted("prefix_text").slot.k
    assert shown > text + k
    assert (prefixed, in_its_stead) == (text + k, text)


def test_self_refine_waits_for_all_its_calls_and_leaves_out_what_does_not_fit(tokenizer, fitted, monkeypatch):
    artefact, asked = fitted("self_refine_4"), []

    def three_seconds(way, key, served, body, tokens):
        asked.append((served.slot.text, way.frozen.tokenizer.decode(body)))
        return way.frozen.tokenizer(" no")["input_ids"][:1] * tokens, 1.0, 0.5

    monkeypatch.setattr(Way, "_call", three_seconds)
    roomy = tiny_model(tokenizer, max_position_embeddings=4096)
    timing = rival_way(roomy, artefact).answer(ITEMS[0], 5)
    assert (timing.calls, timing.first, timing.further) == (9, 8 * 3.0 + 1.0, 0.5)
    assert [text for text, _ in asked[:4]] == [TEXT, measuring.FEEDBACK, measuring.REWRITE, measuring.FEEDBACK]
    assert asked[0][1] == f" {ITEMS[0].input}"
    assert asked[2][1].startswith(asked[1][1] + "\n\nFeedback: ")
    assert asked[1][1].startswith(f"\n\nTask: {TEXT} {ITEMS[0].input}\n\nAnswer: ")
    needed = [rival_way(roomy, artefact).answer(ITEMS[0], 5).positions]
    assert needed[0] > 9 * len(text_vectors(roomy, Layout(), TEXT)[1])
    # Room for the answer alone.
    assert rival_way(tiny_model(tokenizer, max_position_embeddings=80), artefact).answer(ITEMS[0], 5).calls == 1


def test_pairs_are_answered_in_turn_after_one_to_warm_up(tokenizer, fitted, monkeypatch):
    seen = []

    def answer(way, item, tokens):
        side = "text" if way.calls[0].served.slot.k < 20 else "examples"
        seen.append((item.id, side))
        late = len(seen) <= 4  # warm-up answers must not count
        return Timing(100.0 if late else 2.0 if side == "text" else 6.0, 0.25 if side == "text" else 0.5, [1], 7)

    monkeypatch.setattr(Way, "answer", answer)
    found = latency(tiny_model(tokenizer), fitted("few_shot_4"), ITEMS, FEW, log=quiet)
    assert [len({name for name, _ in seen[at : at + 2]}) for at in range(0, 12, 2)] == [1] * 6
    assert {side for _, side in seen[0::2]} == {"text", "examples"}
    assert (found["first_token_ms"], found["token_ms"]) == (6000, 500)
    assert (found["first_token_ratio"], found["token_ratio"]) == (3, 2)
    assert found["quartiles"] == {"first_token_ratio": [3, 3], "token_ratio": [2, 2]}
    assert found["text_prompt"] == {"first_token_ms": 2000, "token_ms": 250, "positions": 7}


def test_a_copy_beside_shares_weights_and_packed_weights_only(tokenizer):
    frozen = tiny_model(tokenizer, hidden_size=512, intermediate_size=1024)
    freeze_linears(frozen.network)
    with packed_weights(frozen.network) as size:
        assert size
        for shared in (True, False):
            other = beside(frozen, shared=shared)
            pairs = list(zip(frozen.network.parameters(), other.network.parameters(), strict=True))
            assert [one is two for one, two in pairs] == [shared] * len(pairs)
            assert all(torch.equal(one, two) for one, two in pairs)
            modules = zip(frozen.network.modules(), other.network.modules(), strict=True)
            assert all(one is not two for one, two in modules)
            packed = [module.packed for module in frozen.network.modules() if isinstance(module, FrozenLinear)]
            again = [module.packed for module in other.network.modules() if isinstance(module, FrozenLinear)]
            assert all(one is two for one, two in zip(packed, again, strict=True))
            other.network.model.layers[0].mlp.down_proj = torch.nn.Identity()
            assert isinstance(frozen.network.model.layers[0].mlp.down_proj, FrozenLinear)


def test_items_are_spread_over_the_lengths_of_their_inputs(tokenizer, fitted):
    frozen = tiny_model(tokenizer)
    items = [Item(f"i/{n}", "x" * n, "y", "y") for n in (9, 1, 5, 3, 7, 11)]
    way = text_way(frozen, fitted("lora"))
    assert [item.id for item in spread_over_lengths(way, items, 3)] == ["i/3", "i/7", "i/11"]
    assert len(spread_over_lengths(way, items, 6)) == 6
    with pytest.raises(UserError, match="items: 7 are to be measured, the data has 6; ask for fewer"):
        spread_over_lengths(way, items, 7)


@pytest.mark.parametrize(("name", "value"), [("repeats", 0), ("items", 0), ("tokens", 1)])
def test_too_little_to_measure_is_one_error(tokenizer, fitted, name, value):
    with pytest.raises(UserError, match=f"{name} is {value}; measuring latency needs at least"):
        latency(tiny_model(tokenizer), fitted("lora"), ITEMS, replace(FEW, **{name: value}), log=quiet)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer, fitted):
    folder = tmp_path_factory.mktemp("cost")
    for name in ("model", "other"):
        network = tiny_model(tokenizer).network
        if name == "other":
            network.model.layers[0].mlp.down_proj.weight.data.neg_()
        network.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    fitted("lora").save(folder / "lora.st", tiny_model(tokenizer))
    (folder / "x.st").write_bytes(b"{}")
    write_jsonl(folder / "items.jsonl", [{**vars(item), "level": None} for item in ITEMS])
    return folder


def cost(folder, **changes):
    flags = {"fitted": folder / "lora.st", "model": folder / "model", "data": folder / "items.jsonl"}
    flags |= {"out": folder / "cost.json", "repeats": 2, "items": 2, "tokens": 4, "threads": 1, "device": "cpu"}
    return main(
        ["rival", "cost", *(word for key, value in (flags | changes).items() for word in (f"--{key}", str(value)))]
    )


def test_the_command_writes_what_the_table_reads(folder):
    assert cost(folder) == 0
    found = read_json(folder / "cost.json")
    assert (found["rival"], found["repeats"], found["tokens"], len(found["items"])) == ("lora", 2, 4, 2)
    assert found["token_ratio"] > 0
    assert {"fitted_sha256", "data_sha256", "versions", "threads"} <= found.keys()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": "other"}, "the two compute different hidden states of the text prompt"),
        ({"fitted": "x.st"}, "x.st: not a fitted rival"),
        ({"fitted": "none.st"}, "none.st: no such file"),
        ({"repeats": 0}, "argument --repeats: give a whole number from 1"),
        ({"tokens": 1}, "argument --tokens: give a whole number from 2"),
        ({"items": 5}, "items: 5 are to be measured, the data has 4; ask for fewer."),
        ({"tokens": 300}, "300 new tokens need"),
    ],
    ids=str,
)
def test_a_bad_request_is_one_line(folder, capsys, changes, told):
    places = {key: folder / value if isinstance(value, str) else value for key, value in changes.items()}
    assert cost(folder, **places) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1
