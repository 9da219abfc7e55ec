"""lm-eval with an optimised prompt: its scores by hand, its verdicts on the demo item by item."""

import json
import logging
import math
from dataclasses import replace

import lm_eval
import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.tasks import TaskManager
from places import ROOT
from tiny import tiny_model

import embedgrad
from embedgrad.grading import Grading
from embedgrad_core import Decoding, Layout, PromptEmbedding, Slot, decode, load_model
from embedgrad_core.files import Item, UserError, read_json, read_jsonl, write_jsonl
from embedgrad_core.lm_eval import model as lm_eval_model
from embedgrad_core.lm_eval.model import EmbedGradLM
from embedgrad_core.objective import encode

PROMPT = "Determine whether the statement is positive or negative."
TASKS = ROOT / "embedgrad" / "lm_eval_tasks"


@pytest.fixture(scope="module", params=["bare", "chat"])
def model(request, tokenizer, tmp_path_factory):
    frozen = tiny_model(tokenizer)
    prompt = PromptEmbedding.from_text(frozen, Slot.place(tokenizer, Layout(request.param), PROMPT))
    noise = torch.randn(prompt.vectors.shape, generator=torch.Generator().manual_seed(0))
    prompt.vectors = prompt.vectors + 0.3 * noise
    path = tmp_path_factory.mktemp("lm") / "prompt.safetensors"
    prompt.save(path)
    return EmbedGradLM(str(path), frozen, batch_size=3), prompt


def ask(kind, *arguments):
    return [Instance(request_type=kind, doc={}, arguments=each, idx=place) for place, each in enumerate(arguments)]


def by_hand(frozen, prompt, body, target):
    """Log-likelihood and greedy match in float64 softmax over one unbatched, unpacked forward pass."""
    embed = frozen.network.get_input_embeddings()
    parts = [
        embed(torch.tensor(prompt.slot.head_ids, dtype=torch.long)),
        prompt.vectors,
        embed(torch.tensor([*body, *target])),
    ]
    with torch.no_grad():
        logits = frozen.network(inputs_embeds=torch.cat(parts)[None]).logits[0].double()
    start = len(prompt.slot.head_ids) + prompt.slot.k + len(body) - 1
    rows = torch.log_softmax(logits[start : start + len(target)], dim=1)
    wanted = torch.tensor(target)
    return float(rows.gather(1, wanted[:, None]).sum()), bool((rows.argmax(dim=1) == wanted).all())


def written_by_greedy_decoding(frozen, prompt):
    """Contexts with their own first greedy token, where its text is read as that token again."""
    items = [Item(str(number), f"what is {number}", "", "") for number in range(60)]
    rows = decode(frozen, prompt.slot, prompt.vectors, items, Decoding(max_new_tokens=1))
    texts = {row.id: row.output for row in rows}
    pairs = [(item.input, texts[item.id]) for item in items]
    return [pair for pair in pairs if pair[1].strip() and len(prompt.slot.continuation_ids(*pair)) == 1][:1]


def test_loglikelihood_equals_the_hand_calculation(model):
    lm, prompt = model
    slot, frozen = prompt.slot, lm.frozen
    pairs = [("a lovely film", " positive"), ("a dull film", " negative"), ("x", " Yes, and then No"), ("7 ", "42")]
    pairs += written_by_greedy_decoding(frozen, prompt)
    found = lm.loglikelihood(ask("loglikelihood", *pairs))
    for (context, continuation), (value, is_greedy) in zip(pairs, found, strict=True):
        if slot.layout.kind == "bare":
            stripped = context.rstrip()
            context, continuation = stripped, context[len(stripped) :] + continuation
        whole = slot.tokenizer(slot.rendered(context) + continuation, add_special_tokens=False)["input_ids"]
        body = slot.body_ids(context)
        target = whole[len(slot.head_ids) + slot.k + len(body) :]
        expected = by_hand(frozen, prompt, body, target)
        assert value == pytest.approx(expected[0], rel=1e-5, abs=1e-4)
        assert is_greedy == expected[1]
        assert math.isfinite(value)
    assert found[-1][1], "what greedy decoding wrote is what greedy decoding writes"
    assert len({is_greedy for _, is_greedy in found}) == 2


def test_options_of_one_token_share_a_pass_over_their_context(model, monkeypatch):
    lm, prompt = model
    slot = prompt.slot
    options = [" a", " b", " c", "1", "2", " Yes", " No", " No, not"]
    pairs = [(context, option) for context in ("a lovely film", "7 + 35") for option in options]
    single = {pair for pair in pairs if len(slot.continuation_ids(*pair)) == 1}
    assert 2 < len(single) < len(pairs)
    run, real = [], lm_eval_model.target_hidden
    monkeypatch.setattr(lm_eval_model, "target_hidden", lambda *a: run.extend(a[3]) or real(*a))
    found = lm.loglikelihood(ask("loglikelihood", *pairs))
    assert len(run) == len(pairs) - len(single) + 2, "one pass for each context, one for each longer option"
    for (context, option), (value, is_greedy) in zip(pairs, found, strict=True):
        body, target = slot.body_ids(context), slot.continuation_ids(context, option)
        expected = by_hand(lm.frozen, prompt, body, target)
        assert value == pytest.approx(expected[0], rel=1e-5, abs=1e-4)
        assert is_greedy == expected[1]


def test_rolling_windows_cover_every_token_once(model):
    lm, prompt = model
    slot = prompt.slot
    body = slot.body_ids("")
    for text in ("a short text", "step by step " * 150):
        ids = slot.continuation_ids("", text)
        width = lm.room - len(body)
        windows = [ids[start : start + width] for start in range(0, len(ids), width)]
        expected = sum(by_hand(lm.frozen, prompt, body, window)[0] for window in windows)
        assert lm.loglikelihood_rolling(ask("loglikelihood_rolling", (text,)))[0] == pytest.approx(expected, rel=1e-5)
    assert len(windows) > 1


def test_generate_until_is_our_decoding_cut_at_stop_strings(model):
    lm, prompt = model
    texts = ["12 + 30", "a", "the statement is positive", "No"]
    asked = [Item(str(n), t, "", "") for n, t in enumerate(texts)]
    rows = decode(lm.frozen, prompt.slot, prompt.vectors, asked, Decoding(max_new_tokens=24))
    wanted = [row.output for row in rows]
    plain = {"until": [], "max_gen_toks": 24, "do_sample": False}
    assert lm.generate_until(ask("generate_until", *((text, plain) for text in texts))) == wanted
    stop = wanted[0][3:5]
    cut = lm.generate_until(ask("generate_until", (texts[0], {**plain, "until": [stop, "never"]})))
    assert cut == [wanted[0].split(stop)[0]]
    with pytest.raises(UserError, match="decodes greedily"):
        lm.generate_until(ask("generate_until", ("x", {"do_sample": True, "temperature": 0.7})))


def test_a_context_that_is_too_long_keeps_its_end(model):
    lm, prompt = model
    long = "No " * 400 + "the statement is positive"
    body = prompt.slot.body_ids(long)
    target = prompt.slot.continuation_ids(long, " Yes")
    found = lm.loglikelihood(ask("loglikelihood", (long, " Yes")))[0][0]
    assert found == pytest.approx(by_hand(lm.frozen, prompt, body[-(lm.room - len(target)) :], target)[0], rel=1e-5)


def test_the_text_prompt_is_the_objective_before(model):
    """The target's log-likelihood under the untouched prompt is minus Eq. 6's loss of it."""
    lm, prompt = model
    before = EmbedGradLM.__new__(EmbedGradLM)
    before.__dict__.update(lm.__dict__)
    before.vectors = prompt.initial
    example = encode(prompt.slot, [Item("0", "a lovely film", " positive", "")], lm.frozen.context)[0]
    value = before.loglikelihood(ask("loglikelihood", ("a lovely film", " positive")))[0][0]
    untouched = PromptEmbedding(prompt.initial, prompt.initial, prompt.slot)
    target = example.target[:-1]  # lm-eval scores no end token
    assert value == pytest.approx(by_hand(lm.frozen, untouched, example.body, target)[0], rel=1e-5)


def suite_run(task, lm, **metadata):
    """lm-eval on one of the suite's tasks: a verdict and a text for each item, and the whole result."""
    logging.getLogger("lm-eval").setLevel(logging.ERROR)
    manager = TaskManager(include_path=str(TASKS), include_defaults=False, metadata=metadata)
    found = lm_eval.simple_evaluate(
        lm, tasks=[f"embedgrad_{task}"], task_manager=manager, bootstrap_iters=0, metadata=metadata
    )
    samples = found["samples"][f"embedgrad_{task}"]
    return {sample["doc"]["id"]: (bool(sample["acc"]), sample["resps"][0][0]) for sample in samples}, found


@pytest.fixture(scope="module")
def tuned(mirror):
    """Real weights that learn within a second to write a label first, and then go on writing."""
    frozen = load_model(str(mirror / "models" / "stories3M"), device="cpu", log=lambda line: None)
    rows = [("a lovely film", "positive"), ("a dull film", "negative"), ("I liked it", "positive")]
    items = [Item(f"{text}/{n}", f"{text} {n}", word, word) for n in range(5) for text, word in rows]
    layout = Layout(suffix=" Answer:", target_prefix=" ", end="none")
    few = {"epochs": 6, "learning_rate": 0.02, "patience": 0, "layout": layout, "labels": ["positive", "negative"]}
    return embedgrad.optimize(
        frozen, "Positive or negative?", items[:8], dev=items[8:10], max_new_tokens=64, log=lambda line: None, **few
    ), items


@pytest.mark.mirror
@pytest.mark.parametrize("named", ["prompt", "results"])
@pytest.mark.parametrize(
    ("limit", "strict", "right"), [(4, False, True), (2, False, False), (8, False, True), (8, True, False)]
)
def test_limit_and_grader_are_the_prompt_files(tuned, limit, strict, right, named, tmp_path):
    """Of the YAML's 512 tokens the model has no room for, and its evaluator is not strict."""
    tuned, items = tuned
    tuned.decoding = replace(tuned.decoding, max_new_tokens=limit)
    tuned.grading = Grading("label", {"labels": ["positive", "negative"]}, strict)
    kept = tuned.decoding.row() | {"loop": None}
    tuned.prompt.header |= {"decoding": kept, "grading": tuned.grading.row(), "data": {"task": "imdb"}}
    path = tmp_path / "imdb" / "stories3m" / "seed0" / "prompt.safetensors"
    path.parent.mkdir(parents=True)
    tuned.save(path)
    (tmp_path / "data" / "imdb").mkdir(parents=True)
    write_jsonl(tmp_path / "data" / "imdb" / "test.jsonl", [item.row() for item in items])
    metadata = {"results": str(tmp_path)} | ({"prompt": str(path)} if named == "prompt" else {})
    theirs, found = suite_run("imdb", EmbedGradLM(str(path), tuned.frozen), **metadata)
    ours = [row["after"] for row in tuned.evaluate(items, keep_seen=True).rows]
    assert theirs == {row["id"]: (row["correct"], row["output"]) for row in ours}
    assert any(verdict for verdict, _ in theirs.values()) == right
    assert found["configs"]["embedgrad_imdb"]["generation_kwargs"]["max_gen_toks"] == limit


def test_a_prompt_of_another_task_is_answered_and_graded_as_the_task_says(home):
    header = {"decoding": {"max_new_tokens": 7}, "grading": {"evaluator": "exact", "options": {}, "strict": False}}
    path = home / "other.safetensors"
    frozen = load_model(str(home / "model"), device="cpu", log=lambda line: None)
    PromptEmbedding.from_text(frozen, Slot.place(frozen.tokenizer, Layout(), PROMPT)).save(path, header)
    results = str(home / "results" / "paper")
    _, found = suite_run("imdb", EmbedGradLM(str(path), frozen), results=results, prompt=str(path))
    assert found["configs"]["embedgrad_imdb"]["generation_kwargs"]["max_gen_toks"] == 512


def test_answers_end_as_the_prompts_do_and_the_model_is_the_one_it_was_made_for(tokenizer, tmp_path, monkeypatch):
    frozen, asked = tiny_model(tokenizer), []
    prompt = PromptEmbedding.from_text(frozen, Slot.place(tokenizer, Layout(), PROMPT))
    prompt.header["model"] |= {"name": "me/tiny", "revision": "main", "resolved": "a" * 40}
    prompt.save(tmp_path / "prompt.safetensors", {"decoding": {"stop_rule": "checkpoint", "stop_on_loop": 2}})
    monkeypatch.setattr(
        "embedgrad_core.lm_eval.model.load_model", lambda name, **how: asked.append((name, how["revision"])) or frozen
    )
    lm = EmbedGradLM(str(tmp_path / "prompt.safetensors"))
    assert lm.stop_ids == frozen.stop_ids("checkpoint") != frozen.stop_ids()
    assert lm.stop_on_loop.repeats == 2
    EmbedGradLM(str(tmp_path / "prompt.safetensors"), revision="v2")
    EmbedGradLM(str(tmp_path / "prompt.safetensors"), "mine/tiny")
    assert asked == [("me/tiny", "a" * 40), ("me/tiny", "v2"), ("mine/tiny", "main")]


DEMO = ROOT / "results" / "demo"


@pytest.mark.parametrize("task", ["arithmetic", "mood", "blame"])
@pytest.mark.parametrize("side", ["before", "after"])
def test_verdicts_equal_ours_item_by_item_on_the_demo(task, side):
    home = DEMO / task / "tiny-0.2m" / "seed0"
    if not (home / "metrics.json").exists():
        pytest.skip("the demo has not been run here (make demo)")
    lm = EmbedGradLM(
        str(home / "prompt.safetensors"), str(DEMO / "models" / "tiny-0.2m"), text_prompt=side == "before", device="cpu"
    )
    theirs, found = suite_run(task, lm, results=str(DEMO))
    graded = read_jsonl(home / "after.jsonl" if side == "after" else DEMO / task / "tiny-0.2m" / "before.jsonl")
    assert {key: verdict for key, (verdict, _) in theirs.items()} == {row["id"]: row["correct"] for row in graded}
    accuracy = read_json(home / "metrics.json")[side]["accuracy"]
    assert found["results"][f"embedgrad_{task}"]["acc,none"] == pytest.approx(accuracy)


def test_all_four_tasks_of_the_paper_are_offered():
    manager = TaskManager(include_path=str(TASKS), include_defaults=False)
    assert {"embedgrad_math500", "embedgrad_imdb", "embedgrad_medd", "embedgrad_causal_judgment"} <= set(
        manager.all_tasks
    )


def test_a_missing_split_is_one_error(tmp_path):
    from embedgrad.lm_eval_tasks.suite import load

    with pytest.raises(UserError, match=r"test\.jsonl: no such file"):
        load("imdb", str(tmp_path))
    (tmp_path / "data" / "imdb").mkdir(parents=True)
    row = {"id": "1", "input": "x", "target": "y", "answer": "y", "level": None}
    (tmp_path / "data" / "imdb" / "test.jsonl").write_text(json.dumps(row) + "\n")
    assert load("imdb", str(tmp_path))["test"][0] == {"task": "imdb", **row}
