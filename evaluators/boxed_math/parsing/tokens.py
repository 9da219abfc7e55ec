r"""Text to the tokens of an expression, and the values of its numbers."""

import re
from fractions import Fraction

from evaluators.boxed_math.bounds import OutOfBounds

_FUNCTION_NAMES = (
    "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh coth sech csch arsinh arcosh artanh "
    "arcsinh arccosh arctanh cis ln log lg exp sqrt abs floor ceil"
)
_GREEK_NAMES = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau phi "
    "varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell hbar"
)
FUNCTIONS = frozenset(_FUNCTION_NAMES.split())
GREEK = frozenset(_GREEK_NAMES.split())
# What \sin^{-1} names; the arguments of the functions on the left are angles, or meant as such.
INVERSES = {name: "arc" + name for name in ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh")}
_TOKEN = re.compile(
    r"\s*(?:(?P<num>\d*\.\d*\\overline\{\d+\}|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<command>\\[A-Za-z]+|\\[{}|])|(?P<word>[A-Za-z]+)|(?P<sign>[-+*/^_!|(){}\[\]=,<>%']))"
)


class NotAnExpression(Exception):
    """The text is not in the grammar."""


def tokens(text: str) -> list[tuple[str, str]]:
    """(kind, value) of each token: num, command, name or sign.

    Raises:
        NotAnExpression: something that stands in no expression.
    """
    found: list[tuple[str, str]] = []
    place = 0
    text = text.strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if not match:
            raise NotAnExpression(f"unexpected {text[place : place + 10]!r}")
        kind = match.lastgroup or ""  # one of the pattern's four, always
        value = match[kind]
        if kind == "word":
            found += _words(value)
        elif kind == "command":
            found.append(("command", value[1:]))
        else:
            found.append((kind, value))
        place = match.end()
    return found


def _words(word: str) -> list[tuple[str, str]]:
    """A run of letters: a known function, a constant, or single letters multiplied."""
    if (word in FUNCTIONS and word != "lg") or word in ("pi", "infty"):
        return [("command", word)]
    if word.lower() in ("inf", "infinity", "oo"):
        return [("command", "infty")]
    if len(word) > 3:
        raise NotAnExpression(f"{word!r} is a word")
    return [("name", letter) for letter in word]


def number(text: str) -> tuple:
    """``("num", value, significant digits)``; the digits of what is not a decimal are 0.

    Raises:
        OutOfBounds: too long to read.
    """
    match = re.fullmatch(r"(\d*)\.(\d*)\\overline\{(\d+)\}", text)
    if match:
        whole, fixed, period = match.groups()
        value = Fraction(int(whole or 0)) + (Fraction(int(fixed), 10 ** len(fixed)) if fixed else 0)
        return ("num", value + Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(fixed)), 0)
    mantissa, _, exponent = text.lower().partition("e")
    if len(mantissa) > 1_000 or len(exponent) > 4:
        raise OutOfBounds("a number is too long to read")
    digits = len(mantissa.replace(".", "").lstrip("0")) if "." in mantissa else 0
    return (
        "num",
        Fraction(mantissa if mantissa[-1] != "." else mantissa[:-1]) * Fraction(10) ** int(exponent or 0),
        digits,
    )
