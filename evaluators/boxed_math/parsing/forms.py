r"""Forms of an answer that a pattern recognises as a whole: words in front, labels of choices, bases, matrices, number sets."""

import re
from collections.abc import Callable
from fractions import Fraction

from evaluators.boxed_math.parsing.expression import NotAnExpression, parse

_NEGATED = re.compile(
    r"\b(?:not|never|no|cannot|n?either|nor|unlike|least|most|less|more|than)\b|n't|不", re.IGNORECASE
)
# "The answer is 42": words that end as an announcement does, and say nothing else of the value.
_ANNOUNCED = re.compile(
    r"(?P<text>\\text\{)?\s*(?P<words>[^\d{}\\^_+*/<>()=]*?(?:(?<![A-Za-z])(?:is|are|equals?|equal to|be|so|thus|hence|"
    r"therefore|exactly|approximately|about|approx\.?|roughly)|为|是|答案|:)\s*[:,=]?)\s*(?(text)\}\s*|(?<=[\s:为是]))(?P<rest>\S.*)",
    re.IGNORECASE | re.DOTALL,
)
_VERB = re.compile(
    r"\s*(?:(?<![A-Za-z])(?:is|are|equals?|be)(?: equal to| exactly| approximately| about| roughly)?|为|是)?\s*[:,=]?$",
    re.I,
)
_NEUTRAL = re.compile(
    r"answer|result|solution|(?<![a-z])value|答案|结果|^(?:so|thus|hence|therefore|it|this|which|exactly|approximately|about|approx\.?|"
    r"roughly|equal to|[,\s])*$",
    re.I,
)
_LABEL_IN_TEXT = re.compile(r"\\text\{\s*(?:\(\s*([A-H])\s*\)|([A-H])\s*[).:])\s*[.:]?\s*\}\s*[.:]?\s*(.+)", re.DOTALL)
# Without a wrapper, what follows must not go on as a formula does: (C) + 5.
_LABEL = re.compile(
    r"(?:\(\s*([A-H])\s*\)\s*[.:]?|([A-H])(?:\)|\.(?=\s)))\s*"
    r"((?![-+*/^_=!,<>()\[:|]|\\(?:cdot|times|cup|cap|in|le|ge|ne|div|pm|to))\S.*)",
    re.DOTALL,
)
_NUMERALS = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty"
)
_NUMERAL_VALUES = {word: str(value) for value, word in enumerate(_NUMERALS.split(), 2)}
_NUMERAL = rf"(\d+|{'|'.join(sorted(_NUMERAL_VALUES, key=len, reverse=True))})"
_DIGITS = r"\(?\s*((?=[0-9A-Fa-f]*\d)[0-9A-Fa-f]+)\s*\)?\s*"
_BASES = (
    re.compile(_DIGITS + rf"_\s*\{{\s*(?:\\text\{{)?\s*(?:base\s*\}}?\s*)?{_NUMERAL}[^{{}}]*\}}?\s*\}}"),
    re.compile(_DIGITS + r"_\s*(\d+)"),
    re.compile(_DIGITS + rf"(?:\\text\{{)?\s*\(?\s*(?:in )?base[ -]?\s*\}}?\s*_?\{{?\s*{_NUMERAL}\s*\}}?\s*\)?\s*\}}?"),
)
_MATRIX = re.compile(r"\\begin\{([pbvBV]?matrix|smallmatrix|array)\}(?:\{[^{}]*\})?(.*)\\end\{\1\}", re.DOTALL)
_TRANSPOSED = re.compile(r"\s*\^\s*\{?\s*(?:T|t|\\top|\\intercal|\\text\{\s*T\s*\})\s*\}?\s*")
_CASES = re.compile(r"\\begin\{(cases|aligned|gathered|array)\}(?:\{[lcr]\})?(.*)\\end\{\1\}", re.DOTALL)
_ALL_REALS = re.compile(
    r"(?:for |the set of )?all (?:the )?real(?: number| value)?s?(?: (?:of )?[a-z])?|(?:the )?reals|real numbers"
    r"|any real number|全体实数|所有实数"
)
_NOTHING = re.compile(r"(?:there (?:is|are) )?no (?:real )?solutions?|(?:the )?empty set|无解|空集")


def announced(text: str) -> tuple[str, str] | None:
    """The subject of words that announce a value, and the value: ("the area", "12"); the subject of an answer as such is empty."""
    match = _ANNOUNCED.fullmatch(text) if text[:1].isalpha() or text.startswith("\\text") else None
    if not match or _NEGATED.search(match["words"]):
        return None
    words = match["words"].strip()
    # "AB:CD" is a ratio of names, "Answer: 5" an announcement.
    if words.endswith(":") and not re.search("[a-z]{3}|[\u4e00-\u9fff]", words):
        return None
    subject = _VERB.sub("", words).strip(" :,=")
    return ("" if _NEUTRAL.search(subject) else subject), match["rest"]


def choice(text: str) -> tuple[str, str] | None:
    """The letter and the content of a labelled choice, ``(C) 12``."""
    match = _LABEL_IN_TEXT.fullmatch(text) or _LABEL.fullmatch(text)
    return (match[1] or match[2], match[3]) if match else None


def numeral(word: str) -> tuple | None:
    """The tree of a number that is written as a word, up to twenty."""
    value = _NUMERAL_VALUES.get(word.casefold())
    return ("num", Fraction(value), 0) if value else None


def base(text: str) -> tuple | None:
    """A number in a base, which may be spelt out."""
    for pattern in _BASES:
        if match := pattern.fullmatch(text):
            return ("base", match[1].upper(), int(_NUMERAL_VALUES.get(match[2], match[2])))
    return None


def numbers(text: str) -> tuple | None:
    """ℝ and the like as sets, and words for all of them or none."""
    if match := re.fullmatch(r"\\mathbb\{([RCZNQ])\}", text):
        return ("numbers", match[1])
    words = re.sub(r"\\text\{([^{}]*)\}", r"\1", text).strip().casefold()
    if _ALL_REALS.fullmatch(words):
        return ("numbers", "R")
    return ("set", []) if _NOTHING.fullmatch(words) or text == "\\{\\}" else None


def cases(text: str) -> list[str] | None:
    """The equations of a system that holds altogether."""
    match = _CASES.fullmatch(text)
    if not match or (match[1] == "array" and "=" not in match[2]):
        return None
    rows = [row.replace("&", "").strip().rstrip(",;") for row in match[2].split("\\\\")]
    rows = [row for row in rows if row]
    return rows if len(rows) > 1 and all("=" in row or "<" in row or ">" in row for row in rows) else None


def matrix(text: str, read: Callable[[str], tuple]) -> tuple | None:
    """A matrix, with a factor in front and a T after it carried out."""
    match = _MATRIX.search(text)
    if not match or "\\begin" in match[2]:
        return None
    before, after = text[: match.start()].strip(), text[match.end() :].strip()
    if match[1] in ("array", "smallmatrix") and before[-1:] in ("[", "(") and after[:1] in ("]", ")"):
        before, after = before[:-1].strip(), after[1:].strip()
    rows = [[read(cell) for cell in row.split("&")] for row in re.split(r"\\\\", match[2]) if row.strip()]
    kind = "determinant" if match[1] in ("vmatrix", "Vmatrix") else "matrix"
    if not before and not after:
        return ("matrix", kind, rows)
    if kind == "determinant" or (after and not _TRANSPOSED.fullmatch(after)):
        return None
    if after:
        if len({len(row) for row in rows}) != 1:
            return None
        rows = [list(row) for row in zip(*rows, strict=True)]
    if before:
        factor = re.sub(r"\\(?:cdot|times)$|\*$", "", before).strip()
        try:
            tree = parse(factor + "1" if factor in ("-", "+") else factor)
        except NotAnExpression:
            return None
        if any(cell[0] != "expr" for row in rows for cell in row):
            return None
        rows = [[("expr", ("mul", [tree, cell[1]]), cell[2]) for cell in row] for row in rows]
    return ("matrix", kind, rows)


def times(factor: int, tree: tuple) -> tuple:
    """A tree times a whole number."""
    if factor == 1:
        return tree
    return ("num", tree[1] * factor, 0) if tree[0] == "num" else ("mul", [("num", Fraction(factor), 0), tree])
