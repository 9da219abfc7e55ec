"""Head + prompt + body must be the tokenizer's own reading of the whole text."""

import copy
import json

import pytest
import yaml
from places import ROOT
from tiny import CHAT
from transformers import AutoTokenizer

from embedgrad_core import Layout, Slot
from embedgrad_core.files import Item, UserError

PAPER = yaml.safe_load((ROOT / "config/paper.yaml").read_text(encoding="utf-8"))
PROMPTS = {name: task["prompt"] for name, task in PAPER["tasks"].items()}
# As the paper's Table 1 prints them; the apostrophe is U+2019 and the maths prompt says "with", not "within".
TABLE_1 = {
    "math500": "please reason step by step, and put your final answer with \\boxed{}.",
    "imdb": "Please determine whether the following statement is positive or negative. Let\u2019s think step by step.",
    "medd": "Determine the main emotion or mood expressed in the following text, choosing only from: [sad, angry, "
    "concerned, surprised, happy, calm, disgusted, doubtful]. Requirement: Let\u2019s think step by step and choose "
    "the strongest one.",
    "causal_judgment": "How would a typical person answer each of the following questions about causation? Please "
    'think step by step, and then answer "Yes" or "No".',
}


def test_prompts_are_table_1_verbatim():
    assert PROMPTS == TABLE_1


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


def test_prompt_with_no_tokens_is_refused(tokenizer):
    with pytest.raises(UserError, match="no tokens"):
        Slot.place(tokenizer, Layout(), "")


def test_missing_chat_template_is_refused(tokenizer):
    import copy

    plain = copy.deepcopy(tokenizer)
    plain.chat_template = None
    with pytest.raises(UserError, match="no chat template"):
        Slot.place(plain, Layout("chat"), "Answer.")


@pytest.mark.parametrize("wrong", [{"kind": "bear"}, {"slot": "tool"}])
def test_unknown_layouts_are_refused(wrong):
    with pytest.raises(UserError, match="must be"):
        Layout(**wrong)


TRIMMED = CHAT.replace("m['content']", "m['content'] | trim")
PROMPTS_WITH_BLANKS = ("Be brief.\n", " Be brief.", "\tBe brief. \n\n", "Be brief.")


@pytest.mark.parametrize("template", [CHAT, TRIMMED], ids=["as it is", "trimmed"])
@pytest.mark.parametrize("layout", [Layout("chat"), Layout("chat", separator="\n"), Layout("chat", slot="system")])
@pytest.mark.parametrize("prompt", PROMPTS_WITH_BLANKS)
def test_blanks_at_the_ends_of_a_prompt_are_where_the_template_leaves_them(tokenizer, template, layout, prompt):
    own = copy.deepcopy(tokenizer)
    own.chat_template = template
    _check_every_input(Slot.place(own, layout, prompt))


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


def test_a_template_that_changes_the_prompt_is_refused(tokenizer):
    """One that does so for every input when the prompt is placed, one that does so for some when they are read."""
    own = copy.deepcopy(tokenizer)
    own.chat_template = CHAT.replace("m['content']", "m['content'] | replace('brief', 'short')")
    with pytest.raises(UserError, match=r"changes the prompt 'Be brief.', so that its place cannot be found"):
        Slot.place(own, Layout("chat"), "Be brief.")
    own.chat_template = CHAT.replace("m['content']", "m['content'] | replace('brief. no', 'short. no')")
    slot = Slot.place(own, Layout("chat"), "Be brief.")
    assert slot.body_ids("yes")
    with pytest.raises(UserError, match=r"otherwise before the input 'no' than before others"):
        slot.body_ids("no")
