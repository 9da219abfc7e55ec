"""Head + prompt + body must be the tokenizer's own reading of the whole text."""

import copy

import pytest
import yaml
from places import ROOT
from tiny import CHAT

from embedgrad_core import Layout, Slot
from embedgrad_core.files import UserError
from embedgrad_core.layout import layout_from_header

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
    with pytest.raises(UserError, match=r"differently before the input 'no' than before others"):
        slot.body_ids("no")


OWN = "You are Tiny."
# As SmolLM2's and Qwen2.5's: a message of the template's own, where none is given.
WITH_OWN = "{% if messages[0]['role'] != 'system' %}<|im_start|>system\n" + OWN + "<|im_end|>\n{% endif %}" + CHAT
# As Llama-3.1's: a head that is always written.
ALWAYS = (
    "<|im_start|>system\nToday.{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}"
    "{% set messages = messages[1:] %}{% endif %}<|im_end|>\n" + CHAT
)
NO_SYSTEM_TURN = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHAT
TURN = "<|im_start|>user\nIs it good? A film.<|im_end|>\n<|im_start|>assistant\n"


def _block(message):
    return f"<|im_start|>system\n{message}<|im_end|>\n"


@pytest.mark.parametrize(
    ("template", "given", "default", "none"),
    [
        (CHAT, _block(""), "", ""),
        (WITH_OWN, _block(""), _block(OWN), ""),
        (ALWAYS, _block("Today."), _block("Today."), _block("Today.")),
        (NO_SYSTEM_TURN, "", "", ""),
    ],
    ids=["no message of its own", "its own", "always the same head", "no system turn"],
)
def test_the_system_message_is_given_the_templates_own_or_none(tokenizer, template, given, default, none):
    own = copy.deepcopy(tokenizer)
    own.chat_template = template
    for system, head in (("given", given), ("default", default), ("none", none)):
        slot = Slot.place(own, Layout("chat", system=system), "Is it good?")
        assert slot.rendered("A film.") == head + TURN
        _check_every_input(slot)


def test_a_system_message_that_cannot_be_taken_away_is_said(tokenizer):
    own = copy.deepcopy(tokenizer)
    own.chat_template = WITH_OWN.replace("m['content'] }}", "m['content'] }}{{ loop.index }}")
    with pytest.raises(UserError, match=r"layout\.system none: this chat template always has a system message"):
        Slot.place(own, Layout("chat", system="none"), "Answer.")
    for wrong in ({"system_message": "Be brief."}, {"slot": "system"}):
        with pytest.raises(UserError, match=r"layout\.system none: leaves no place"):
            Layout("chat", system="none", **wrong)


def test_a_layout_says_its_system_only_where_it_is_unusual():
    assert "system" not in Layout("chat").row()
    unusual = Layout("chat", system="none")
    assert layout_from_header({"layout": unusual.row()}) == unusual
    assert layout_from_header({"layout": Layout("chat").row()}) == Layout("chat")
