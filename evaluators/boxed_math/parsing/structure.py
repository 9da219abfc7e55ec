r"""What kind of answer a normalised text is.

Answers are tuples: ``("list", [answers], joiner)`` unordered and unbracketed, joined by ``,``, ``and`` or ``or``;
``("set", [answers])``; ``("group", [answers])`` (bare TeX braces: order unknown); ``("seq", open, close, [answers])`` (tuple,
point or interval); ``("union" | "meet" | "minus", [answers])``; ``("numbers", letter)`` (all reals, all integers …);
``("builder", name, domain, condition)``; ``("matrix", kind, [[answers]])``; ``("relation", [operators], [answers])``;
``("ratio", [answers], [texts])``; ``("base", digits, base)``; ``("choice", letter, answer)``; ``("text", words)``;
``("expr", tree, unit)``; and ``("either", reading, other reading, strict)`` for what can be read in two ways, where a strict
other reading counts only beside the same unit.
"""

import re

from evaluators.boxed_math.bounds import spend
from evaluators.boxed_math.parsing import forms
from evaluators.boxed_math.parsing.brackets import closing, depth_at, split, turned
from evaluators.boxed_math.parsing.expression import NotAnExpression, parse
from evaluators.boxed_math.parsing.units import split_unit

_RELATION = re.compile(r"\\(?:le|ge|ne|in|approx|equiv|cong|sim|to)(?![A-Za-z])|[=<>]")
_AND = re.compile(
    r"\\text\{\s*,?\s*(?:(?P<a>and|且|和|与|及)|(?P<o>or|或者?)|[,;])\s*\}"
    r"|(?<![A-Za-z\\])(?:(?P<b>and)|(?P<p>or))(?![A-Za-z])|(?P<c>[且和与及]|\\land(?![A-Za-z])|\\wedge(?![A-Za-z]))"
    r"|(?P<q>或者?|\\lor(?![A-Za-z])|\\vee(?![A-Za-z]))|(?P<semicolon>;)"
)
_ANGLE = re.compile(r"(?<!arc)(?<!ar)(?:sin|cos|tan|cot|sec|csc|cis)(?!h)")


def read(text: str) -> tuple:
    """The answer that a normalised text states; anything that is not mathematics is ``("text", …)``.

    Raises:
        OutOfBounds: nested too deeply, or more text than is read.
    """
    spend(2 + len(text))
    as_text = text.lstrip().startswith("\\text{")
    text = _peel(split(turned(text.strip()), "\\implies")[-1])
    lead = forms.announced(text)
    if lead and lead[0]:  # "the area is 12" names the area as "area = 12" does
        return ("relation", ["="], [read(part) for part in lead])
    text = _peel(lead[1]) if lead else text
    joiners: set[str] = set()

    def comma(match: re.Match) -> str:
        if depth_at(text[: match.start()]) == 0:
            joiners.update({"and"} if match["a"] or match["b"] or match["c"] else ())
            joiners.update({"or"} if match["o"] or match["p"] or match["q"] else ())
            return ","
        return match[0]

    plain = _AND.sub(comma, text)
    parts = split(plain, ",")
    if len(parts) > 1:
        return ("list", _members(parts), joiners.pop() if len(joiners) == 1 else "," if not joiners else "mixed")
    answer = _read_one(text)
    # Letters set as text are a word; \text{on} is not n·o.
    is_word = as_text and answer[0] == "either" and answer[1][0] == "text" and answer[2][1][0] not in ("num", "name")
    return answer[1] if is_word else answer


def _members(parts: list[str]) -> list[tuple]:
    """The members of a list; "n = 2, 3, 4" names its variable once, and so does "n ≠ 2, 3"."""
    first = re.fullmatch(r"([A-Za-z](?:_\{?\w\}?)?\s*(?:=|(\\ne(?![A-Za-z]))))\s*(.*)", parts[0]) if parts else None
    if first and not any(_RELATION.search(part) for part in parts[1:]):
        parts = [parts[0], *(f"{first[1]} {part}" for part in parts[1:])] if first[2] else [first[3], *parts[1:]]
    answers = map(read, parts)
    return [one for answer in answers for one in (answer[1] if answer[0] == "list" else [answer])]


def _read_one(text: str) -> tuple:
    if cases := forms.cases(text):
        return ("list", _members(cases), "and")
    if labelled := forms.choice(text):
        return ("choice", labelled[0].casefold(), read(labelled[1]))
    if found := _relation(text) or forms.matrix(text, read):
        return found
    for kind, operator in (("union", "\\cup"), ("minus", "\\setminus"), ("meet", "\\cap")):
        parts = split(text, operator)
        if len(parts) > 1:
            return (kind, [read(part) for part in parts])
    if found := _bracketed(text) or forms.numbers(text):
        return found
    for sign in (r"\pm", r"\mp"):
        if re.search(re.escape(sign) + "(?![A-Za-z])", text):
            return ("list", [_expression(_chosen(text, plus)) for plus in (True, False)], "or")
    return forms.base(text) or _ratio(text) or _expression(text)


def _ratio(text: str) -> tuple | None:
    parts = split(text, ":")
    if len(parts) < 2 or text.count(":") != len(parts) - 1:
        return None
    answers = [_expression(part) for part in parts]
    return ("ratio", answers, parts) if all(answer[0] in ("expr", "either") for answer in answers) else None


def _expression(text: str) -> tuple:
    word = re.fullmatch(r"(?:\\text\{)?\(?\s*([A-Za-z]{2,})\s*\)?\}?", text)
    if word:  # a word, and a product of letters only where it is short and small: ab, pi
        tree = forms.numeral(word[1]) or (_parsed(text) if re.fullmatch("[a-z]{2,3}|infinity|infty", text) else None)
        words = ("text", fold(text))
        return ("either", words, ("expr", tree, ()), False) if tree else words
    found = split_unit(text)
    if "\\degree" in text and _ANGLE.search(text):
        found = None  # the degree may belong to the angle of a sine
    tree = _parsed(text) if found is None or found[3] in ("letters", "words") else None
    if found is None or not found[0] or (tree and found[3] == "words"):
        return ("expr", tree, ()) if tree else ("text", fold(text))
    bare, factor, unit, sure = found
    inner = read(bare)
    if inner[0] == "expr" and not inner[2]:
        inner = ("expr", forms.times(factor, inner[1]), unit)
    elif inner[0] in ("text", "expr", "either") or factor != 1:
        return ("expr", tree, ()) if tree else ("text", fold(text))
    if tree is None and sure == "plain":
        tree = _parsed(text)
    return ("either", ("expr", tree, ()), inner, sure != "plain") if tree else inner


def _parsed(text: str) -> tuple | None:
    try:
        return parse(text)
    except NotAnExpression:
        return None


def fold(text: str) -> str:
    """Words without wrappers, case and brackets around a choice."""
    words = re.sub(r"\\text\{([^{}]*)\}", r"\1", text)
    words = re.sub(r"\\degree", "degrees", words).casefold()
    words = re.sub(r"[\s{}\\]+", "", words).strip(".,;:'\"`")
    choice = re.fullmatch(r"\(?([a-z])\)?\.?", words)
    return choice[1] if choice else words


def _peel(text: str) -> str:
    """Take off wrappers that hold the whole answer, and a stop that each may have brought along."""
    while True:
        text = text.strip().rstrip(" .;")
        inner = re.fullmatch(r"\\text\{([^{}]*)\}", text)
        if inner:
            text = inner[1].strip()
        elif text.startswith("{") and closing(text, 0) == len(text) - 1 and len(split(text[1:-1], ",")) == 1:
            text = text[1:-1].strip()
        else:
            return text


def _relation(text: str) -> tuple | None:
    """``a < b <= c`` as operators and sides; a name in front of a colon-free equation counts as a side."""
    operators, sides, start, depth, counted = [], [], 0, 0, 0
    for match in _RELATION.finditer(text):
        depth, counted = depth + depth_at(text[counted : match.start()]), match.start()
        if depth == 0:
            operators.append("=" if match[0] == "\\to" else match[0])  # x → 5 states x
            sides.append(text[start : match.start()])
            start = match.end()
    if not operators:
        return None
    sides.append(text[start:])
    if any(not side.strip() for side in sides):
        return None
    return ("relation", operators, [read(side) for side in sides])


def _bracketed(text: str) -> tuple | None:
    if text.startswith("\\{"):
        if not text.endswith("\\}") or len(text) < 4:
            return None
        inner = text[2:-2]
        if depth_at(inner) != 0:
            return None
        return _builder(inner) or ("set", _members(_parts(inner)) if inner.strip() else [])
    if text[:1] not in ("(", "[", "{") or closing(text, 0) != len(text) - 1:
        return None
    parts = _parts(text[1:-1])
    if text[0] == "{":
        return ("group", _members(parts))
    if len(parts) > 1:
        return ("seq", text[0], text[-1], [read(part) for part in parts])
    return read(text[1:-1]) if text[0] == "(" and text[-1] == ")" else None


def _parts(inner: str) -> list[str]:
    """The members between brackets; where semicolons part them, a comma between digits is a decimal point."""
    parts = split(inner, ";")
    if len(parts) == 1:
        return split(inner, ",")
    return [re.sub(r"(?<=\d),(?=\d)", ".", part) for part in parts]


def _builder(inner: str) -> tuple | None:
    r"""``x \in S : x > 5`` between braces."""
    for sign in ("\\mid", ":", "|"):
        head, _, condition = inner.partition(sign)
        name = re.fullmatch(r"\s*([A-Za-z])\s*(?:\\in(?![A-Za-z])(.*))?", head)
        if name and condition.strip():
            return ("builder", name[1], read(name[2]) if name[2] else None, read(condition))
    return None


def _chosen(text: str, plus: bool) -> str:
    upper, lower = ("+", "-") if plus else ("-", "+")
    text = re.sub(r"\\pm(?![A-Za-z])", upper, text)
    return re.sub(r"\\mp(?![A-Za-z])", lower, text)
