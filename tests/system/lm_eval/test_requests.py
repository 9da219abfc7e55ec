"""What lm-eval asks for beside plain requests: caches of answers, chat templates, stop strings."""

import copy

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import CachingLM
from sqlitedict import SqliteDict
from tiny import tiny_model

from embedgrad_core import Layout, PromptEmbedding, Slot
from embedgrad_core.decoding.rows import Row
from embedgrad_core.files import UserError
from embedgrad_core.lm_eval import model as lm_eval_model
from embedgrad_core.lm_eval.model import EmbedGradLM

PROMPT = "Determine whether the statement is positive or negative."


@pytest.fixture(scope="module", params=["bare", "chat"])
def model(request, tokenizer, tmp_path_factory):
    frozen = tiny_model(tokenizer)
    prompt = PromptEmbedding.from_text(frozen, Slot.place(tokenizer, Layout(request.param), PROMPT))
    prompt.vectors = prompt.vectors + 0.3 * torch.randn(
        prompt.vectors.shape, generator=torch.Generator().manual_seed(0)
    )
    path = tmp_path_factory.mktemp("lm") / "prompt.safetensors"
    prompt.save(path)
    return EmbedGradLM(str(path), frozen, batch_size=3), prompt


def ask(kind, *arguments):
    return [Instance(request_type=kind, doc={}, arguments=each, idx=place) for place, each in enumerate(arguments)]


def test_a_cache_of_answers_belongs_to_one_prompt(model, tmp_path):
    """lm-eval looks answers up by the request alone: the text prompt's must never be taken for the optimised prompt's."""
    lm, prompt = model
    path = tmp_path / "prompt.safetensors"
    prompt.save(path)
    cache = str(tmp_path / "cache.db")
    request = ask("loglikelihood", ("a lovely film", " positive"))
    (found,) = CachingLM(lm, cache).loglikelihood(request)
    assert CachingLM(lm, cache).loglikelihood(request) == [found], "the same prompt reads its own"
    before = EmbedGradLM(str(path), lm.frozen, text_prompt=True)
    with pytest.raises(UserError, match="--use_cache: this file holds the answers of another prompt or model"):
        CachingLM(before, cache)
    (other,) = CachingLM(before, str(tmp_path / "other.db")).loglikelihood(request)
    assert other[0] != pytest.approx(found[0])
    strange = SqliteDict(str(tmp_path / "strange.db"), autocommit=True)
    strange["another model's request"] = 1
    strange.close()
    with pytest.raises(UserError, match="answers of another prompt or model"):
        CachingLM(lm, str(tmp_path / "strange.db"))


def test_a_chat_prompt_under_a_chat_template_has_it_once(model):
    lm, prompt = model
    turns = [{"role": "user", "content": "a lovely film"}]
    context = lm.apply_chat_template(turns)
    whole = prompt.slot.tokenizer.decode(
        [*prompt.slot.head_ids, *prompt.slot.prompt_ids, *prompt.slot.body_ids(context)]
    )
    assert whole.count("<|im_start|>assistant") == 1
    assert whole.count("a lovely film") == 1
    more = [{"role": "system", "content": "Be brief."}, *turns, {"role": "assistant", "content": "x"}, *turns]
    if prompt.slot.layout.kind == "chat":
        assert lm.apply_chat_template([{"role": "system", "content": ""}, *turns]) == "a lovely film"
        with pytest.raises(UserError, match=r"the task has system, user, assistant, user\. Leave out --fewshot_as"):
            lm.apply_chat_template(more)
    else:
        assert lm.apply_chat_template(more).count("<|im_start|>") == 5


def test_a_base_model_under_a_chat_template_is_one_error(tokenizer, tmp_path):
    plain = copy.deepcopy(tokenizer)
    plain.chat_template = None
    frozen = tiny_model(plain)
    prompt = PromptEmbedding.from_text(frozen, Slot.place(plain, Layout(), PROMPT))
    prompt.save(tmp_path / "prompt.safetensors")
    lm = EmbedGradLM(str(tmp_path / "prompt.safetensors"), frozen)
    with pytest.raises(
        UserError, match="--apply_chat_template: this model's tokenizer has no chat template; leave it out"
    ):
        lm.apply_chat_template([{"role": "user", "content": "x"}])


def test_the_line_break_before_an_answer_is_no_stop_string(tokenizer, tmp_path, monkeypatch):
    frozen = tiny_model(tokenizer)
    prompt = PromptEmbedding.from_text(frozen, Slot.place(tokenizer, Layout(target_prefix="\n"), PROMPT))
    prompt.save(tmp_path / "prompt.safetensors")
    lm = EmbedGradLM(str(tmp_path / "prompt.safetensors"), frozen)
    ids = tokenizer("\npositive\nnegative", add_special_tokens=False)["input_ids"]
    monkeypatch.setattr(lm_eval_model, "greedy", lambda *_, **__: [Row(0, ids, [0.0] * len(ids))])
    asked = {"until": ["\n"], "max_gen_toks": 24, "do_sample": False}
    assert lm.generate_until(ask("generate_until", ("a film", asked))) == ["positive"]
