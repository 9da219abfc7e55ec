"""Text as the rules for labels and Yes/No read it: folded, without thinking and markup.

What a form of an answer itself holds (``card_arrival``, ``C#``, ``A*``, ``#news``) is not markup.
"""

import re
import unicodedata
from collections.abc import Iterable

LONGEST = 20_000  # characters read, from the end, where answers stand

_NAMES = r"(?:seed:)?(?:think|thinking|thought|thoughts|reasoning|scratchpad)"
_THINKING = re.compile(rf"<{_NAMES}>|\[think\]|◁think▷|<\|begin_of_thought\|>", re.IGNORECASE)
_THOUGHT = re.compile(
    rf"</{_NAMES}>|\[/think\]|◁/think▷|<\|end_of_thought\|>|<\|channel\|>final<\|message\|>", re.IGNORECASE
)
# A plan that a model writes out under a heading of its own; what follows its last blank line is the answer.
_PROCESS = re.compile(
    r"\s*(?:here(?:'s| is) (?:a|my|the) )?(?:thinking|thought|reasoning) process\b[^\n:]{0,40}:", re.I
)

_TAG = (
    r"(?:final[_ -]?)?(?:answer|label|sentiment|emotion|class|category|choice|output|result|prediction|rating|verdict)"
)
_OPEN_TAG, _CLOSED_TAG = re.compile(rf"<{_TAG}>|\\boxed\{{"), re.compile(rf"</{_TAG}>")
_MARKUP = re.compile(
    r"</?(?:b|i|em|strong|u|mark|code|p|span|br ?/?)>|\\(?:text|textbf|textit|mathrm|mathbf)\{|\\[\[\]()]|"
    r"<\|[a-z_]{1,20}\|>|</s>|<(?:end_of_turn|eos)>"
)
_MARKS = "*_`#~"
_PAIRED = re.compile(r"(?<![\w*`~])(\*{1,3}|_{1,3}|`{1,3}|~~)(?=[^\s*_`~]|[#_*]\w)([^\n]{1,200}?)(?<=\S)\1(?![\w*`~])")
_HEADING = re.compile(r"(?m)^[ \t]{0,3}#{1,6}(?=[ \t])")
_BULLET = re.compile(r"(?m)^[ \t]*[*+][ \t]+")
_BLANKS = re.compile(r"[^\S\n]+")
_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "´": "'", "−": "-"})


def fold(text: str) -> str:
    """NFKC, one kind of apostrophe and of minus, without case."""
    return (
        unicodedata.normalize("NFKC", text.translate(_APOSTROPHES))
        .translate(_APOSTROPHES)
        .casefold()
        .replace("i\u0307", "i")
    )


def folded_form(form: str) -> str:
    """A surface form as it stands in folded text: ``"Not  toxic "`` is ``"not toxic"``."""
    return " ".join(fold(form).split())


def without_thinking(text: str) -> str:
    """``text`` after its thinking.

    Closed blocks are left out; a closing mark alone ends a block whose opening the prompt held, and a block that is never closed
    is thinking to its end. Searches in turn: one expression for all would be quadratic in open ones.
    """
    kept: list[str] = []
    place = 0
    while begin := _THINKING.search(text, place):
        lone = _last(_THOUGHT, text[place : begin.start()])
        if lone:
            kept, place = [], place + lone.end()
        kept.append(text[place : begin.start()])
        end = _THOUGHT.search(text, begin.end())
        place = end.end() if end else len(text)
    if lone := _last(_THOUGHT, text[place:]):
        kept, place = [], place + lone.end()
    text = " ".join([*kept, text[place:]])
    if _PROCESS.match(text) and len(parts := re.split(r"\n[ \t]*\n", text.strip())) > 1:
        return parts[-1]
    return text


def _last(pattern: re.Pattern, text: str) -> re.Match | None:
    found = None
    for found in pattern.finditer(text):  # noqa: B007 - the last one is wanted
        pass
    return found


def tail(text: str) -> str:
    """The end of ``text`` that is read, normalised, without thinking, in its own case."""
    # One character may fold to eighteen, so the end is taken again.
    return unicodedata.normalize("NFKC", without_thinking(text[-LONGEST:]))[-LONGEST:]


def plain(text: str, forms: Iterable[str]) -> str:
    """``text`` folded, without markup but for what ``forms`` (folded) hold of it.

    A tag or a box that announces an answer becomes the words that do.
    """
    text = fold(text)[-LONGEST:]
    text = _CLOSED_TAG.sub("\n", _OPEN_TAG.sub(" answer: ", text))
    text = _MARKUP.sub("", _BULLET.sub("- ", text))
    marked = sorted((form for form in forms if any(mark in form for mark in _MARKS)), key=len, reverse=True)
    if not marked:
        return _BLANKS.sub(" ", re.sub(rf"[{_MARKS}]+", "", text))
    text = re.sub(rf"\\([{_MARKS}])", r"\1", text)
    text = _HEADING.sub("", text)
    for _ in range(2):  # emphasis in emphasis
        text = _PAIRED.sub(lambda match: match[0] if match[0] in marked else match[2], text)
    known = "|".join(re.escape(form) for form in marked)
    return _BLANKS.sub(" ", re.sub(rf"({known})|[{_MARKS}]+", lambda match: match[1] or "", text))
