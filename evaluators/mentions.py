"""Where a text names one of a few known answers.

A form stands alone: no letter, digit or combining mark of a spaced script, in any alphabet, touches it (``unglücklich`` does not
name ``glücklich``); scripts written without spaces need no border. Single letters and numbers have rules of their own, because
"a" and "I" are words and the 5 of "4/5" and "3.5" is not a rating.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from evaluators.reading import folded_form

# Thai, Lao, Tibetan, Burmese, Khmer, kana, Han, Hangul (its particles touch the word).
_UNSPACED = (
    "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
# Combining marks that ``\w`` leaves out.
_JOINED = re.compile(rf"(?:[^\W{_UNSPACED}]|[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0903\u093a-\u094f])")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
GONE = "\ue000"  # stands where a letter or a number is not an answer: neither a word nor a space


@dataclass(frozen=True)
class Mention:
    """A known answer in a text: which one, and where."""

    name: str
    start: int
    end: int


class Forms:
    """The surface forms of the known answers, ready to be looked for.

    Attributes:
        names: folded form → name of the answer.
        letters: the forms of one Latin letter.
        numeric: whether some form is a number.
    """

    def __init__(self, forms: Mapping[str, str]) -> None:
        self.names = {folded: name for form, name in forms.items() if (folded := folded_form(form))}
        self.letters = frozenset(form for form in self.names if len(form) == 1 and form.isascii() and form.isalpha())
        self.numeric = any(_NUMBER.fullmatch(form) for form in self.names)
        longest_first = sorted(self.names, key=len, reverse=True)
        self._pattern = re.compile("|".join(re.escape(form).replace(r"\ ", r"\s") for form in longest_first) or r"(?!)")
        self.count = len(set(self.names.values()))

    def mentions(self, text: str) -> list[Mention]:
        """Every known form in folded ``text``, in order; the longest one where several begin."""
        found, place = [], 0
        while match := self._pattern.search(text, place):
            start, end = match.span()
            form = match[0].replace("\n", " ")
            if self._alone(text, form, start, end):
                if _NUMBER.fullmatch(form):
                    end = _rating_end(text, end)
                found.append(Mention(self.names[form], start, end))
                place = end
            else:
                place = start + 1
        return found

    def _alone(self, text: str, form: str, start: int, end: int) -> bool:
        if _JOINED.match(form) and _JOINED.match(text[start - 1 : start]):
            return False
        if _JOINED.match(form[-1]) and (
            _JOINED.match(text[end : end + 1]) or re.match(r"(?:\+\+|#|\*)(?!\w)", text[end : end + 3])
        ):
            return False  # "C" in "C++" is another name
        if form[0].isdigit() or _NUMBER.fullmatch(form):
            return _begins_number(text, start) and not (
                _NUMBER.fullmatch(form) and _NO_NUMBER_AFTER.match(text, end, end + 4)
            )
        return True


@lru_cache(maxsize=32)
def forms_of(items: tuple[tuple[str, str], ...]) -> Forms:
    """:class:`Forms` of (form, name) pairs, made once."""
    return Forms(dict(items))


# The number is part of another, of a range, or a percentage.
_NO_NUMBER_BEFORE = re.compile(
    r"\d[.,:⁄]$|\d(?: stars?)? ?(?:/|of|von|sur) ?$|\bout of (?:a possible |the )?$|(?<![\w)])[-.]$|\w[-–]$"
)
_NO_NUMBER_AFTER = re.compile(r"(?![.,]0{1,2}(?!\d))[.,:]\d|⁄| ?%|[-–]\d")


def _begins_number(text: str, start: int) -> bool:
    """Whether a number begins here that is not part of another and not what a rating is out of."""
    return not _NO_NUMBER_BEFORE.search(text[max(0, start - 24) : start])


_OF = re.compile(
    r"(?:[.,]0{1,2}(?!\d))?(?:(?: stars?| points?| sternen?)? ?/ ?\d+|(?: stars?| points?)? ?(?:out )?of (?:a possible |the )?\d+"
    r"| von \d+| sur \d+| de \d+)?(?!\w)"
)


def _rating_end(text: str, end: int) -> int:
    """Where "4.0 out of 5" ends: what a rating is out of belongs to it."""
    match = _OF.match(text, end, end + 40)
    return match.end() if match else end


_SCALE = re.compile(
    r"\b(?:scale|range|ratings?|scores?|stars?|from|between|von|de|entre)\b(?: (?:of|from|between))? ?"
    r"[\"'(\[]?(-?\d+)\s?(?:-|–|to|and|bis|à|a|y|through)\s?(-?\d+)\b"
    r"|\b\d+\s?(?:-|–|to) ?\d+(?=[ -](?:stars? )?(?:scale|range|rating|point))"
    r"|\b\d ?\([^()\d\n]{1,20}\) ?(?:to|-|–) ?\d\b|\b\d+(?:-point|-star) scale|\b\d+ \d+/\d+\b"
    r"|\b(?:steps?|points?|parts?|numbers?|nos?\.|paragraphs?|sentences?|lines?|questions?|examples?) ?\d+\b(?! ?/)"
)
_NUMBERED = re.compile(r"(?m)^ ?(\d{1,2})[.)](?= )")


def without_scales(text: str) -> str:
    """``text`` in which the numbers that number or bound something are gone; its length stays."""

    def gone(match: re.Match) -> str:
        return re.sub(r"\d", GONE, match[0])

    text = _SCALE.sub(gone, text)
    markers = [match[1] for match in _NUMBERED.finditer(text)]
    if any((first, second) == ("1", "2") for first, second in pairwise(markers)):
        text = _NUMBERED.sub(gone, text)
    return text


_LETTER = re.compile(r"(?<![\w'’])[A-Za-z](?![\w'’])")
_ANNOUNCED = re.compile(
    r"(?:\b(?:options?|choices?|answers?|letters?|labels?|class|grade|category|pick|choose"
    r"|chose|select|with|say|prefer)\b(?: (?:is|would be))?"
    r"|[:=(\[\"“'])[ *_`(\[\"“']{0,4}$",
    re.IGNORECASE,
)
# What may follow an option's letter in its sentence; after "A" and "I" any other word makes them a word.
_GOES_ON = re.compile(
    r"[ \t]+(?:because|since|as|is|are|was|and|or|but|for|due|would|seems?|which|not|rather|over|instead"
    r"|here|then|please|only|again|,|—|-|–|\()",
    re.IGNORECASE,
)


def without_words_of_one_letter(text: str, letters: frozenset[str]) -> str:
    """``text``, in its own case, without the articles, pronouns and initials that are not an option's letter."""

    def keep_or_not(match: re.Match) -> str:
        before, after = text[max(0, match.start() - 30) : match.start()], text[match.end() : match.end() + 30]
        return GONE if match[0].casefold() in letters and _is_a_word(match[0], before, after) else match[0]

    # One slice a letter of a bounded text.
    return _LETTER.sub(keep_or_not, text) if letters else text


def _is_a_word(letter: str, before: str, after: str) -> bool:
    if re.search(r"\w\.$", before) or re.match(r"\.\w", after):
        return True  # e.g., U.S.
    word_follows = re.match(r"[ \t]+[\"'“(]?\w", after)
    announced = _ANNOUNCED.search(before)
    if letter in "AaI" or letter == "i":
        if not word_follows:
            return letter in "Ii" and bool(re.search(r"\b(?:do|am|did|can|than|and|so) $", before)) and not announced
        if announced and re.match(r"[ \t]+[A-Z]", after) and letter in "AI":
            return False  # "Answer: A The lens bends light."
        if letter == "I" and re.match(r"[ \t]+(?:was|would|and|or|but|not)\b", after):
            return not announced
        if letter == "a" and not announced:
            return True
        return not _GOES_ON.match(after)
    if letter.islower():
        return bool(word_follows) and not announced and not _GOES_ON.match(after)
    return False
