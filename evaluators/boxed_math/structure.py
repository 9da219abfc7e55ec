r"""What kind of answer a normalised text is.

Answers are tuples: ``("list", [answers])`` unordered and unbracketed, ``("set", [answers])``, ``("group", [answers])`` (bare
TeX braces: order unknown), ``("seq", open, close, [answers])`` (tuple, point or interval), ``("union", [answers])``,
``("matrix", kind, [[answers]])``, ``("relation", [operators], [answers])``, ``("base", digits, base)``,
``("text", words)`` and ``("expr", tree, unit)``.
"""

import re

from evaluators.boxed_math.bounds import DEEPEST, OutOfBounds, spend
from evaluators.boxed_math.expression import NotAnExpression, parse

_OPEN, _CLOSE = "([{", ")]}"
_RELATION = re.compile(r"\\(?:le|ge|ne|in|approx|equiv|cong|sim)(?![A-Za-z])|[=<>]")
_AND = re.compile(r"\\text\{\s*,?\s*(?:and|or|[,;])\s*\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])|;")
_BASE = re.compile(
    r"\(?\s*((?=[0-9A-Fa-f]*\d)[0-9A-Fa-f]+)\s*\)?\s*_\s*(?:\{\s*(?:\\text\{)?\s*(\d+)[^{}]*\}?\s*\}|(\d+))"
)
_MATRIX = re.compile(r"\\begin\{([pbvBV]?matrix|array)\}(?:\{[^{}]*\})?(.*)\\end\{\1\}", re.DOTALL)
_UNIT_TEXT = re.compile(r"\\text\{([^{}]*)\}\s*(?:\^\s*\{?\s*\d\s*\}?)?$")
_UNIT_WORDS = re.compile(r"(?<=[\d})])\s*([A-Za-z]{2,}\.?(?:[ /][A-Za-z]+\.?)*)\s*(?:\^\s*\{?\s*\d\s*\}?)?$")
_UNIT_SIGN = re.compile(r"\s*(\\degree|%)\s*([CF](?![A-Za-z]))?$")
_NO_UNIT = re.compile(r"pi|inf|infty|infinity|oo|i|e|x|y|and|or|mod|d?x|d?y")
_ALIASES = {
    "percent": "%", "pct": "%", "percentage": "%", "degree": "\\degree", "deg": "\\degree", "cm": "centimeter",
    "mm": "millimeter", "m": "meter", "km": "kilometer", "in": "inch", "ft": "foot", "feet": "foot", "inches": "inch",
    "sec": "second", "min": "minute", "hr": "hour", "dollar": "dollar", "cent": "cent",
    "unit": "", "square unit": "", "cubic unit": "",
}  # fmt: skip
_KNOWN_UNITS = {*_ALIASES, *_ALIASES.values()} - {""}


def read(text: str) -> tuple:
    """The answer that a normalised text states; anything that is no mathematics is ``("text", …)``.

    Raises:
        OutOfBounds: nested too deeply, or more text than is read.
    """
    spend(2 + len(text))
    text = _peel(text.strip())
    parts = split(_AND.sub(",", text), ",")
    if len(parts) > 1:
        return ("list", _members(parts))
    return _read_one(text)


def _members(parts: list[str]) -> list[tuple]:
    """The members of a list; "n = 2, 3, 4" names its variable once."""
    first = re.fullmatch(r"[A-Za-z](?:_\{?\w\}?)?\s*=\s*(.*)", parts[0]) if parts else None
    if first and not any("=" in part for part in parts[1:]):
        parts = [first[1], *parts[1:]]
    return [member for part in parts for member in _flattened(read(part))]


def _flattened(answer: tuple) -> list[tuple]:
    return answer[1] if answer[0] == "list" else [answer]


def _read_one(text: str) -> tuple:
    relation = _relation(text)
    if relation:
        return relation
    matrix = _MATRIX.fullmatch(_without_brackets_around_array(text))
    if matrix:
        rows = [row for row in re.split(r"\\\\", matrix[2]) if row.strip()]
        kind = "determinant" if matrix[1] in ("vmatrix", "Vmatrix") else "matrix"
        return ("matrix", kind, [[read(cell) for cell in row.split("&")] for row in rows])
    union = split(text, "\\cup")
    if len(union) > 1:
        return ("union", [read(part) for part in union])
    bracketed = _bracketed(text)
    if bracketed:
        return bracketed
    for sign in (r"\pm", r"\mp"):
        if re.search(re.escape(sign) + r"(?![A-Za-z])", text):
            return ("list", [_read_one(_chosen(text, plus)) for plus in (True, False)])
    base = _BASE.fullmatch(text)
    if base:
        return ("base", base[1].upper(), int(base[2] or base[3]))
    return _expression(text)


def _expression(text: str) -> tuple:
    if re.fullmatch(r"(?:\\text\{)?\(?\s*[A-Za-z]{2,}\s*\)?\}?", text):
        return ("text", fold(text))  # a word, not a product of letters
    bare, unit = _without_unit(text)
    if unit is None or unit not in _KNOWN_UNITS:
        try:
            return ("expr", parse(text), "")
        except NotAnExpression:
            pass
    if unit is not None and bare:
        inner = read(bare)
        if inner[0] != "text":
            return ("expr", inner[1], unit) if inner[0] == "expr" else inner
    return ("text", fold(text))


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
        text = text.rstrip(" .;")
        inner = re.fullmatch(r"\\text\{([^{}]*)\}", text)
        if inner:
            text = inner[1].strip()
        elif text.startswith("{") and _closing(text, 0) == len(text) - 1 and len(split(text[1:-1], ",")) == 1:
            text = text[1:-1].strip()
        else:
            return text


def _without_unit(text: str) -> tuple[str, str | None]:
    """The text before its unit, and the unit; None where there is none."""
    for pattern in (_UNIT_TEXT, _UNIT_SIGN, _UNIT_WORDS):
        match = pattern.search(text)
        if match and match.start() > 0:
            words = match[1].strip().casefold().rstrip(".")
            if pattern is _UNIT_WORDS and _NO_UNIT.fullmatch(words):
                continue
            one = words.removesuffix("s") if len(words) > 3 else words
            return text[: match.start()].strip(), _ALIASES.get(words, _ALIASES.get(one, one))
    return text, None


def _relation(text: str) -> tuple | None:
    """``a < b <= c`` as operators and sides; a name in front of a colon-free equation counts as a side."""
    operators, sides, start, depth, counted = [], [], 0, 0, 0
    for match in _RELATION.finditer(text):
        depth, counted = depth + depth_at(text[counted : match.start()]), match.start()
        if depth == 0:
            operators.append(match[0])
            sides.append(text[start : match.start()])
            start = match.end()
    if not operators:
        return None
    sides.append(text[start:])
    if any(not side.strip() for side in sides):
        return None
    return ("relation", operators, [read(side) for side in sides])


def _bracketed(text: str) -> tuple | None:
    escaped = text.startswith("\\{")
    if escaped:
        if not text.endswith("\\}") or len(text) < 4:
            return ("set", []) if text == "\\{\\}" else None
        inner = text[2:-2]
        parts = split(inner, ",") if inner.strip() else []
        return ("set", _members(parts)) if depth_at(inner) == 0 else None
    if text[:1] not in ("(", "[", "{") or _closing(text, 0) != len(text) - 1:
        return None
    parts = split(text[1:-1], ",")
    if text[0] == "{":
        return ("group", _members(parts))
    if len(parts) > 1:
        return ("seq", text[0], text[-1], [read(part) for part in parts])
    return read(text[1:-1]) if text[0] == "(" and text[-1] == ")" else None


def _without_brackets_around_array(text: str) -> str:
    match = re.fullmatch(r"[\[(]\s*(\\begin\{array\}.*\\end\{array\})\s*[\])]", text, re.DOTALL)
    return match[1] if match else text


def _chosen(text: str, plus: bool) -> str:
    upper, lower = ("+", "-") if plus else ("-", "+")
    text = re.sub(r"\\pm(?![A-Za-z])", upper, text)
    return re.sub(r"\\mp(?![A-Za-z])", lower, text)


def depth_at(text: str) -> int:
    """How many brackets of any kind are open at the end of ``text``; intervals may close with the other kind.

    Raises:
        OutOfBounds: they are nested too deeply.
    """
    depth = 0
    for character in text:
        depth += character in _OPEN
        depth -= character in _CLOSE
        if depth > DEEPEST:
            raise OutOfBounds("nested too deeply")
    return depth


def _closing(text: str, start: int) -> int:
    """The place of the bracket that closes the one at ``start``, or -1."""
    depth = 0
    for place in range(start, len(text)):
        depth += text[place] in _OPEN
        depth -= text[place] in _CLOSE
        if depth == 0:
            return place
    return -1


def split(text: str, separator: str) -> list[str]:
    """The parts between separators that stand outside of all brackets."""
    parts, depth, start, place = [], 0, 0, 0
    while place < len(text):
        depth += text[place] in _OPEN
        depth -= text[place] in _CLOSE
        if depth == 0 and text.startswith(separator, place):
            parts.append(text[start:place])
            place += len(separator)
            start = place
            continue
        place += 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()] or [text]
