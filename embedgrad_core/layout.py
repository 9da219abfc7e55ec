"""Where the prompt sits in the sequence: ``head · prompt · body · target``.

``bare`` is the concatenation of Eq. 5: the head is empty (or the one BOS token), the body is separator + input +
suffix. ``chat`` puts the same text into the model's chat template: the head is the rendered template before the prompt,
the body what follows it. In both, the *text path* is the tokenizer's reading of the whole text in one piece, and the
parts are cut out of it, so that step 0 feeds the very ids that the text prompt would have fed.
"""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Self

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from embedgrad_core.files import Item, UserError, is_whole_text, sha256_of_bytes

# Llama-3.1's template prints a date; fixed, or the sequence would change from day to day.
TEMPLATE_DATE = "26 Jul 2024"
_PROBE = "EMBEDGRADPROMPTSLOT"
_MESSAGES = ("EMBEDGRADSYSTEMONE", "EMBEDGRADSYSTEMTWO")
GIVEN, DEFAULT, NONE = "given", "default", "none"


class NoChatTemplate(UserError):
    """A layout that a model's tokenizer does not have."""


@dataclass(frozen=True)
class Layout:
    """The choices the paper leaves open about the sequence (docs/protocol.md).

    Attributes:
        kind: ``bare`` (Eq. 5 to the letter) or ``chat`` (inside the chat template).
        separator: between prompt and input. A space: a line break would merge with the prompt's full stop in Qwen's
            and Llama's vocabularies, and the prompt's last token would no longer be its own.
        suffix: after the input.
        target_prefix: before the target, in training only; the model has to write it itself when it answers.
        end: ``eos`` ends each target with the tokenizer's end token; ``none`` leaves it out, for a model that was never shown one
            and cannot learn it through the prompt alone: its answers then run to the token limit.
        system_message: chat only; always explicit, since templates slip in messages of their own. An empty one is left out where
            the template knows no system turn (Gemma 2).
        slot: chat only; ``user`` puts the prompt before the input in the user's turn, ``system`` makes it the system
            message.
        system: chat only; ``given`` sends ``system_message``, ``default`` sends none and has what the template then brings of its
            own, ``none`` takes that away too. What a template always writes (Llama-3.1's dates) stays.
    """

    kind: str = "bare"
    separator: str = " "
    suffix: str = ""
    target_prefix: str = ""
    end: str = "eos"
    system_message: str = ""
    slot: str = "user"
    system: str = GIVEN

    def __post_init__(self) -> None:
        words = {"kind": ("bare", "chat"), "end": ("eos", "none"), "slot": ("user", "system")}
        for name, known in (words | {"system": (GIVEN, DEFAULT, NONE)}).items():
            if getattr(self, name) not in known:
                raise UserError(f"layout.{name} is {getattr(self, name)!r}; it must be {' or '.join(known)}.")
        if self.system != GIVEN and (self.system_message or self.slot == "system"):
            raise UserError(
                f"layout.system {self.system}: leaves no place for a message of one's own; leave out one of the two."
            )

    def row(self) -> dict[str, str]:
        """As JSON; a usual ``system`` is left out, as it was before there was a choice."""
        return {key: value for key, value in asdict(self).items() if (key, value) != ("system", GIVEN)}

    def turns(self, prompt: str, input_text: str) -> tuple[str, str]:
        """The system message and the user's turn; in layout bare there is no system message, and the turn is the whole text."""
        if self.kind == "chat" and self.slot == "system":
            return prompt, input_text + self.suffix
        return self.system_message if self.kind == "chat" else "", prompt + self.separator + input_text + self.suffix


@dataclass(frozen=True)
class Slot:
    """A prompt text placed in a layout for one tokenizer: everything but the vectors themselves.

    Attributes:
        head_ids: what stands before the prompt, the same for all items.
        prompt_ids: the k tokens p of Section 3.2.
    """

    tokenizer: PreTrainedTokenizerBase
    layout: Layout
    text: str
    head_ids: tuple[int, ...]
    prompt_ids: tuple[int, ...]

    @classmethod
    def place(cls, tokenizer: PreTrainedTokenizerBase, layout: Layout, text: str) -> Self:
        """Tokenise ``text`` where the layout puts it.

        Raises:
            UserError: the prompt has no tokens, or the chat template is missing or does not show the prompt verbatim.
        """
        if layout.kind == "chat" and not tokenizer.chat_template:
            raise NoChatTemplate("layout chat: this model's tokenizer has no chat template; use layout bare.")
        draft = cls(tokenizer, layout, text, (), ())
        head = draft._head_text
        before = draft._tokenize(head)
        together = draft._tokenize(head + draft.shown)
        if together[: len(before)] != before:
            raise UserError(f"layout {layout.kind}: the prompt {text[:40]!r} merges with the template text before it.")
        # A tokenizer that adds BOS adds it to the empty head as well, so it lands in the head and never in the prompt.
        prompt = together[len(before) :]
        if not prompt:
            raise UserError(f"the prompt {text!r} has no tokens; write at least one word.")
        return cls(tokenizer, layout, text, tuple(before), tuple(prompt))

    @property
    def k(self) -> int:
        """Number of prompt vectors."""
        return len(self.prompt_ids)

    def rendered(self, input_text: str) -> str:
        """The whole text before the answer, as a user of the text prompt would send it."""
        return self._render(self.text, input_text)

    def text_path_ids(self, input_text: str) -> list[int]:
        """The tokenizer's ids of the whole text in one piece: what the text prompt feeds the model."""
        return self._tokenize(self.rendered(input_text))

    def is_seamless(self, input_text: str) -> bool:
        """Whether head + prompt + body equals the text path, token for token."""
        ids = self.text_path_ids(input_text)
        return tuple(ids[: len(self.head_ids) + self.k]) == self.head_ids + self.prompt_ids

    def body_ids(self, input_text: str) -> list[int]:
        """What follows the prompt: separator, input and the rest of the template."""
        start = len(self.head_ids) + self.k
        ids = self.text_path_ids(input_text)
        if tuple(ids[:start]) == self.head_ids + self.prompt_ids:
            return ids[start:]
        # The tokenizer merged across the seam: keep the prompt's own tokens and read the rest apart.
        rest = self._rest(input_text)
        if self.rendered(input_text) != self._head_text + self.shown + rest:
            raise UserError(
                f"layout {self.layout.kind}: the chat template shows the prompt differently before the input {input_text[:40]!r} "
                "than before others, so that its place cannot be found; use layout bare, or a prompt without blanks at its ends."
            )
        return self.tokenizer(rest, add_special_tokens=False)["input_ids"]

    def continuation_ids(self, input_text: str, continuation: str) -> list[int]:
        """The tokens of a text that follows: as read in one piece with what stands before it, or apart where that would merge."""
        before = self.rendered(input_text)
        ids, whole = self._tokenize(before), self._tokenize(before + continuation)
        if whole[: len(ids)] == ids:
            return whole[len(ids) :]
        return self.tokenizer(continuation, add_special_tokens=False)["input_ids"]

    def target_ids(self, item: Item) -> list[int]:
        """The tokens of Eq. 6: target prefix, target and, unless the layout leaves it out, the end token."""
        target = self.continuation_ids(item.input, self.layout.target_prefix + item.target)
        if not target:
            raise UserError(f"{item.name}: the target {item.target!r} has no tokens.")
        end = self.tokenizer.eos_token_id if self.layout.end == "eos" else None
        return target if end is None else [*target, end]

    def prompt_spans(self) -> list[tuple[int, int]]:
        """Which characters of ``text`` each of the k prompt tokens was read from, as half-open ranges.

        Tokens that are bytes of one character share it; a tokenizer may leave out blanks, or give a token no character at all.

        Raises:
            UserError: the tokenizer does not say where its tokens stand.
        """
        if not self.tokenizer.is_fast:
            raise UserError(
                "this model's tokenizer does not say which characters its tokens stand for; use another model."
            )
        head, shown = self._head_text, self.shown
        encoded = self.tokenizer(
            head + shown, add_special_tokens=self.layout.kind == "bare", return_offsets_mapping=True
        )
        lead = self.text.index(shown) - len(head)
        offsets = encoded["offset_mapping"][len(self.head_ids) :][: self.k]
        return [(max(start + lead, 0), max(end + lead, 0)) for start, end in offsets]

    def header(self) -> dict:
        """What a prompt file keeps of its slot; ``template`` is the hash of the rendered template around the prompt."""
        around = self._render(_PROBE, "INPUT")
        return {"layout": self.layout.row(), "text": self.text, "template": sha256_of_bytes(around.encode())}

    @cached_property
    def shown(self) -> str:
        """The prompt as the text path has it: many templates trim the ends of a turn."""
        whole, head, rest = self._render(self.text, "INPUT"), self._head_text, self._rest("INPUT")
        for shown in (self.text, self.text.rstrip(), self.text.lstrip(), self.text.strip()):
            if whole == head + shown + rest:
                return shown
        raise UserError(
            f"layout {self.layout.kind}: the chat template changes the prompt {self.text[:40]!r}, so that its place cannot be "
            "found; use layout bare, or other words."
        )

    def _rest(self, input_text: str) -> str:
        """What follows the prompt before the answer. Found by a word in its place, which no template trims."""
        return self._render(_PROBE, input_text).partition(_PROBE)[2]

    @cached_property
    def _head_text(self) -> str:
        head, found, _ = self._render(_PROBE, "INPUT").partition(_PROBE)
        if not found:
            raise UserError("layout chat: the chat template does not show the prompt; try layout.slot user, or bare.")
        return head

    def _render(self, prompt: str, input_text: str) -> str:
        layout = self.layout
        system, user = layout.turns(prompt, input_text)
        if layout.kind == "bare":
            return user
        turns = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        try:
            if layout.system != GIVEN:
                return self._apply(turns[1:]) if layout.system == DEFAULT else self._without_system(turns[1:])
            return self._apply(turns if system or self._takes_system_turn else turns[1:])
        # A template may refuse these turns or be broken.
        except (TemplateError, TypeError) as error:
            advice = "use layout bare"
            if system:
                advice += ", or layout.slot user" if layout.slot == "system" else ", or an empty layout.system_message"
            raise UserError(
                f"layout chat: the model's chat template does not take these turns ({error}); {advice}."
            ) from error

    def _apply(self, turns: list[dict[str, str]]) -> str:
        return self.tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True, date_string=TEMPLATE_DATE
        )

    def _without_system(self, turns: list[dict[str, str]]) -> str:
        """The template without any system message, its own neither."""
        first, second = ({"role": "system", "content": message} for message in _MESSAGES)
        plain = self._apply(turns)
        if not self._takes_system_turn:
            return plain
        one, two = _MESSAGES
        with_one = self._apply([first, *turns])
        if plain in _shortened(with_one, one, len(with_one) - len(plain)):
            return plain  # a message is only ever added: the template has none of its own
        # What a second message adds is the block that the first one stands in.
        with_two = self._apply([first, second, *turns])
        length = len(with_two) - len(with_one)
        for start in _around(with_two, two, length):
            block = with_two[start : start + length].replace(two, one)
            if block in with_one:
                return with_one.replace(block, "", 1)
        raise UserError("layout.system none: this chat template always has a system message; use default, or given.")

    @cached_property
    def _takes_system_turn(self) -> bool:
        try:
            self._apply([{"role": "system", "content": ""}, {"role": "user", "content": _PROBE}])
        except (TemplateError, TypeError):
            return False
        return True

    def _tokenize(self, text: str) -> list[int]:
        if not is_whole_text(text):  # a tokenizer would say no more than that it takes no such type
            raise UserError("the prompt, the layout or an input holds half of a surrogate pair, which is no character.")
        # A rendered template brings its own BOS; the tokenizer must not add a second one.
        special = self.layout.kind == "bare"
        ids = self.tokenizer(text, add_special_tokens=special)["input_ids"]
        if special and ids and ids[-1] == self.tokenizer.eos_token_id:
            ids = ids[:-1]
        return ids


def _around(text: str, word: str, length: int) -> range:
    """Where stretches of ``length`` characters begin that hold a word of the text."""
    at = text.find(word)
    return range(max(0, at + len(word) - length), at + 1)


def _shortened(text: str, word: str, length: int) -> set[str]:
    """The text without each of those stretches."""
    return {text[:start] + text[start + length :] for start in _around(text, word, length)}


def layout_from_header(header: dict) -> Layout:
    """The layout that a prompt file was optimised in."""
    try:
        layout = Layout(**header["layout"])
        if wrong := [key for key, value in asdict(layout).items() if not isinstance(value, str)]:
            raise TypeError(f"{wrong[0]} must be text")
        return layout
    except (KeyError, TypeError) as error:
        raise UserError(f"prompt header: unreadable layout {json.dumps(header.get('layout'))} ({error}).") from None
