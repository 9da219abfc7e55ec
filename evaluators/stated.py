"""The answer a text states, out of a few known ones: what labels and Yes/No have in common.

The rules, in order, each because of what models write:

1. Lists of choices echoed from the prompt (all of two, or at least three), and quotations of more than the bare answer,
   are no statements.
2. A mention in the reach of a negation ("not happy but calm", 不是) is none either.
3. If a cue ("the answer is", "main emotion:", 答案是) is followed by a mention in its sentence, the last such cue counts.
4. Otherwise an answer that opens the text as its heading ("Negative: …") counts, and without one the last mention.
"""

import bisect
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_EMPHASIS = re.compile(r"[*_`#~]+|</?(?:b|i|em|strong|u)>|\\(?:text|textbf|boxed|mathrm)\{|\\[\[\]()]")
_THINKING, _THOUGHT = re.compile(r"<think(?:ing)?>"), re.compile(r"</think(?:ing)?>")
_SENTENCE_END = re.compile(r"[.!?。！？](?=\s|$|[\"'”’)])|[。！？\n]")
_NEGATION = re.compile(
    r"(?:\b(?:not(?! only\b)|isn't|wasn't|aren't|doesn't|don't|didn't|can't|cannot|never|neither|nor|without|excluding|"
    r"rather than|instead of|as opposed to|unlike|other than|rules? out|no sign of|no trace of|hardly|non)\b"
    r"|不是|並非|并非|而非|沒有|没有|不算|不|非)"
    r"(?!.*\b(?:but|however|though)\b|.*(?:而是|但))[^.!?;:。；：\n]{0,40}$"
)
LONGEST = 20_000  # characters read, from the end, where answers stand
_LONGEST_SENTENCE = 400
_REACH = 4  # words between a negation and what it negates
_QUOTED = re.compile(
    r"“([^”\n]{1,400})”|\"([^\"\n]{1,400})\"|「([^」\n]{1,400})」|『([^』\n]{1,400})』|«([^»\n]{1,400})»"
)
_STRICT_END = " \t\r\n.!*_\"'”’。！`)}]」』$\\"


@dataclass(frozen=True)
class Mention:
    """A known answer in a text: which one, and where."""

    name: str
    start: int
    end: int


def plain(text: str) -> str:
    """The end of the text, folded, without emphasis and thinking blocks, as the rules read it."""
    text = _without_thinking(text[-LONGEST:])
    # One character may fold to eighteen, so the end is taken again.
    text = unicodedata.normalize("NFKC", text).replace("’", "'").casefold()[-LONGEST:]
    return _EMPHASIS.sub("", text)


def _without_thinking(text: str) -> str:
    """Closed thinking blocks left out. Two searches in turn: one expression for both would be quadratic in open ones."""
    kept, place = [], 0
    while (begin := _THINKING.search(text, place)) and (end := _THOUGHT.search(text, begin.end())):
        kept.append(text[place : begin.start()])
        place = end.end()
    return " ".join([*kept, text[place:]])


def stated(text: str, forms: Mapping[str, str], cues: re.Pattern, strict: bool = False) -> str | None:
    """The known answer that ``text`` states, or None.

    Args:
        text: what the model wrote.
        forms: surface form → name of the answer.
        cues: phrases that announce an answer.
        strict: the text must be, or end with, the answer.
    """
    folded = {unicodedata.normalize("NFKC", form).casefold(): name for form, name in forms.items()}
    text = plain(text)
    if strict:
        return _at_the_end(text, folded)
    text = _without_echoes(_without_quotations(text, folded), folded)
    found = [mention for mention in mentions(text, folded) if not negated(text, mention)]
    starts = [mention.start for mention in found]
    for cue in reversed(list(cues.finditer(text))):
        reach = _sentence_end(text, cue.end() + 1)
        # An answer may stand on the line below its cue.
        if not text[cue.end() : reach].strip(" :-\"'“「("):
            reach = _sentence_end(text, reach + 1)
        first = bisect.bisect_left(starts, cue.end())
        if first < len(found) and found[first].end <= reach:
            return found[first].name
    if found and not text[: found[0].start].strip() and text[found[0].end : found[0].end + 1] in (":", "\n"):
        return found[0].name
    return found[-1].name if found else None


def _sentence_end(text: str, start: int) -> int:
    """Where the sentence that holds ``start`` ends, looked for within a bounded reach."""
    limit = min(len(text), start + _LONGEST_SENTENCE)
    end = _SENTENCE_END.search(text, start, limit)
    return end.start() if end else limit


def mentions(text: str, forms: Mapping[str, str]) -> Iterator[Mention]:
    """Every known form in folded ``text``, longest first; Latin words stand alone, Chinese ones need not."""
    alternatives = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    for match in re.finditer(alternatives, text):
        start, end = match.span()
        if not match[0].isascii() or not (_latin(text[start - 1 : start]) or _latin(text[end : end + 1])):
            yield Mention(forms[match[0]], start, end)


def negated(text: str, mention: Mention) -> bool:
    """Whether a negation reaches the mention within its clause."""
    match = _NEGATION.search(text[max(0, mention.start - 60) : mention.start])
    if not match:
        return False
    between = re.sub(r"^\S+\s*", "", match[0], count=1) if match[0].isascii() else ""
    return len(between.split()) <= _REACH and "," not in between


def _at_the_end(text: str, forms: Mapping[str, str]) -> str | None:
    end = text.rstrip(_STRICT_END)
    for form in sorted(forms, key=len, reverse=True):
        if end.endswith(form):
            mention = Mention(forms[form], len(end) - len(form), len(end))
            alone = not form.isascii() or not _latin(end[mention.start - 1 : mention.start])
            return mention.name if alone and not negated(end, mention) else None
    return None


def _without_quotations(text: str, forms: Mapping[str, str]) -> str:
    """Quoted passages blanked, but for a quoted answer ("sad")."""

    def blank(match: re.Match) -> str:
        inside = next(group for group in match.groups() if group is not None)
        return match[0] if inside.strip(" .,!。，") in forms else " " * len(match[0])

    return _QUOTED.sub(blank, text)


def _without_echoes(text: str, forms: Mapping[str, str]) -> str:
    """Lists of choices blanked: bracketed ones of two or more, bare ones of three or of all."""

    def names_in(part: str) -> int:
        return len({mention.name for mention in mentions(part, forms)})

    def blank(match: re.Match) -> str:
        return " " * len(match[0]) if names_in(match[0]) > 1 else match[0]

    text = re.sub(r"\[[^\[\]\n]{0,600}\]|\([^()\n]{0,600}\)|\{[^{}\n]{0,600}\}", blank, text)
    form = "|".join(_alone(form) for form in sorted(forms, key=len, reverse=True))
    separator = r"[\"'“”「」]{0,3}\s*(?:,|/|、|，|\||\bor\b|\band\b|或|和)\s*(?:(?:or|and)\b\s*)?[\"'“”「」]{0,3}"
    run = rf"(?:{form})(?:{separator}(?:{form})){{1,40}}"
    enough = min(3, len(set(forms.values())))
    return re.sub(run, lambda match: " " * len(match[0]) if names_in(match[0]) >= enough else match[0], text)


def _alone(form: str) -> str:
    """A form as a pattern that is no part of a longer Latin word."""
    return rf"(?<![a-z0-9]){re.escape(form)}(?![a-z0-9])" if form.isascii() else re.escape(form)


def _latin(character: str) -> bool:
    return character.isascii() and character.isalnum()
