"""Head + prompt + body are the tokenizer's own reading of the whole text, with the tokenizers of real models."""

import json

import pytest
import yaml
from places import ROOT
from transformers import AutoTokenizer

from embedgrad_core import Layout, Slot
from embedgrad_core.files import Item, UserError

PAPER = yaml.safe_load((ROOT / "config/paper.yaml").read_text(encoding="utf-8"))
PROMPTS = {name: task["prompt"] for name, task in PAPER["tasks"].items()}
LAYOUTS = [
    Layout("bare"),
    Layout("bare", target_prefix="\n"),
    Layout("chat"),
    Layout("chat", system_message="You are a helpful assistant."),
    Layout("chat", slot="system"),
]


@pytest.fixture(scope="module", params=["qwen2.5", "llama-3.1"])
def real_tokenizer(request, mirror):
    return AutoTokenizer.from_pretrained(mirror / "tokenizers" / request.param)


def real_inputs(mirror):
    """A few real inputs of each data set, awkward ones among them."""
    maths = [json.loads(line)["problem"] for line in (mirror / "data/math500.jsonl").open(encoding="utf-8")][::50]
    imdb = [json.loads(line)["text"] for line in (mirror / "data/imdb_subset.jsonl").open(encoding="utf-8")][:5]
    medd = [json.loads(line)["text"] for line in (mirror / "data/medd.jsonl").open(encoding="utf-8")][::500]
    causal = json.loads((mirror / "data/causal_judgment.json").read_text(encoding="utf-8"))["examples"][::40]
    return [*maths, *imdb, *medd, *[example["input"] for example in causal], "5 + 5?", "$x$", "“quoted”", "  spaces"]


@pytest.mark.mirror
@pytest.mark.parametrize(
    "layout", LAYOUTS, ids=lambda layout: f"{layout.kind}-{layout.slot}-{len(layout.system_message)}"
)
@pytest.mark.parametrize("task", PROMPTS)
def test_real_tokenizers_read_the_parts_as_the_whole(real_tokenizer, mirror, task, layout):
    slot = Slot.place(real_tokenizer, layout, PROMPTS[task])
    assert real_tokenizer.decode(slot.prompt_ids) == PROMPTS[task]
    for text in real_inputs(mirror):
        item = Item("i", text, "Yes", "Yes")
        if layout.kind == "chat":
            content = text if layout.slot == "system" else f"{PROMPTS[task]} {text}"
            system = PROMPTS[task] if layout.slot == "system" else layout.system_message
            messages = [{"role": "system", "content": system}, {"role": "user", "content": content}]
            whole = real_tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=True, return_dict=True, date_string="26 Jul 2024"
            )["input_ids"]
        else:
            whole = real_tokenizer(f"{PROMPTS[task]} {text}")["input_ids"]
        assert slot.is_seamless(text)
        assert [*slot.head_ids, *slot.prompt_ids, *slot.body_ids(text)] == whole
        assert whole.count(real_tokenizer.bos_token_id) == (real_tokenizer.bos_token_id is not None)
        assert real_tokenizer.eos_token_id == slot.target_ids(item)[-1]


@pytest.mark.mirror
def test_llama_has_its_one_bos_in_the_head(mirror):
    llama = AutoTokenizer.from_pretrained(mirror / "tokenizers/llama-3.1")
    for layout in LAYOUTS:
        slot = Slot.place(llama, layout, PROMPTS["imdb"])
        assert slot.head_ids[0] == llama.bos_token_id
        assert llama.bos_token_id not in (*slot.head_ids[1:], *slot.prompt_ids, *slot.body_ids("A film."))


@pytest.mark.mirror
def test_sentencepiece_model_has_no_lone_space_between_the_parts(mirror):
    stories = AutoTokenizer.from_pretrained(mirror / "models/stories3M")
    slot = Slot.place(stories, Layout(target_prefix=" "), "Tell me how it felt.")
    assert slot.is_seamless("happy dog")
    assert stories.convert_ids_to_tokens(slot.body_ids("happy dog")) == ["▁happy", "▁dog"]
    assert stories.convert_ids_to_tokens(slot.target_ids(Item("i", "dog", "happy", "happy"))) == ["▁happy", "</s>"]


@pytest.mark.mirror
def test_a_target_without_an_end_token(mirror):
    stories = AutoTokenizer.from_pretrained(mirror / "models/stories3M")
    item = Item("i", "dog", "happy", "happy")
    ended, open_ended = (
        Slot.place(stories, Layout(target_prefix=" ", end=end), "Tell me how it felt.") for end in ("eos", "none")
    )
    assert [*open_ended.target_ids(item), stories.eos_token_id] == ended.target_ids(item)
    with pytest.raises(UserError, match=r"layout\.end is 'stop'; it must be eos or none"):
        Layout(end="stop")


@pytest.mark.mirror
def test_a_merging_separator_keeps_the_prompts_own_tokens(mirror):
    qwen = AutoTokenizer.from_pretrained(mirror / "tokenizers/qwen2.5")
    slot = Slot.place(qwen, Layout(separator="\n"), "Answer.")
    assert not slot.is_seamless("Why?")  # ".\n" is one token of Qwen's vocabulary
    assert qwen.decode([*slot.prompt_ids, *slot.body_ids("Why?")]) == "Answer.\nWhy?"


PROMPTS_WITH_BLANKS = ("Be brief.\n", " Be brief.", "\tBe brief. \n\n", "Be brief.")


@pytest.mark.mirror
@pytest.mark.parametrize("layout", [Layout("chat"), Layout("chat", separator="\n"), Layout("chat", slot="system")])
@pytest.mark.parametrize("prompt", PROMPTS_WITH_BLANKS)
def test_blanks_at_the_ends_of_a_prompt_for_real_templates(real_tokenizer, layout, prompt):
    _check_every_input(Slot.place(real_tokenizer, layout, prompt))


def _check_every_input(slot):
    for text in ("a film", " a film", "a film\n", "12 + 30", "\nx", "Be brief.\n"):
        whole = [*slot.head_ids, *slot.prompt_ids, *slot.body_ids(text)]
        assert slot.tokenizer.decode(whole) == slot.tokenizer.decode(slot.text_path_ids(text))
        if slot.is_seamless(text):
            assert whole == slot.text_path_ids(text)
