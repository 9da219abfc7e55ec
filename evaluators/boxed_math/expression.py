r"""A small grammar for LaTeX and plain expressions: text to a tree of tuples, or :class:`NotAnExpression`.

Trees: ``("num", Fraction, significant_digits)``, ``("name", str)``, ``("add"|"mul", [trees])``, ``("neg", tree)``,
``("pow"|"div", tree, tree)``, ``("call", function, tree)``. Implicit multiplication, mixed numbers (``1\frac12``),
``\frac12``, ``\sqrt2``, ``\sqrt[3]{2}``, ``|x|``, ``n!``, ``0.\overline{3}``, ``1e3``.
"""

import re
from fractions import Fraction
from typing import NoReturn

from evaluators.boxed_math.bounds import DEEPEST, OutOfBounds

_FUNCTION_NAMES = "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln log exp sqrt abs floor ceil"
_GREEK_NAMES = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau phi "
    "varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell hbar"
)
FUNCTIONS = frozenset(_FUNCTION_NAMES.split())
GREEK = frozenset(_GREEK_NAMES.split())
_TOKEN = re.compile(
    r"\s*(?:(?P<num>\d*\.\d*\\overline\{\d+\}|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<command>\\[A-Za-z]+|\\[{}|])|(?P<word>[A-Za-z]+)|(?P<sign>[-+*/^_!|(){}\[\]=,<>%']))"
)


class NotAnExpression(Exception):
    """The text is not in the grammar."""


def parse(text: str) -> tuple:
    """The tree of an expression.

    Raises:
        NotAnExpression: it is not one.
        OutOfBounds: it is nested too deeply, or a number is too long.
    """
    return _Parser(_tokens(text)).whole()


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, place = [], 0
    text = text.strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if not match:
            raise NotAnExpression(f"unexpected {text[place : place + 10]!r}")
        kind = match.lastgroup
        value = match[kind]
        if kind == "word":
            tokens += _words(value)
        elif kind == "command":
            tokens.append(("command", value[1:]))
        else:
            tokens.append((kind, value))
        place = match.end()
    return tokens


def _words(word: str) -> list[tuple[str, str]]:
    """A run of letters: a known function, a constant, or single letters multiplied."""
    if word in FUNCTIONS or word in ("pi", "infty"):
        return [("command", word)]
    if word.lower() in ("inf", "infinity", "oo"):
        return [("command", "infty")]
    if len(word) > 3:
        raise NotAnExpression(f"{word!r} is a word")
    return [("name", letter) for letter in word]


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens, self.place, self.depth, self.bars = tokens, 0, 0, 0

    def whole(self) -> tuple:
        tree = self.sum()
        if self.place != len(self.tokens):
            self.fail()
        return tree

    def fail(self) -> NoReturn:
        rest = " ".join(value for _, value in self.tokens[self.place : self.place + 3])
        raise NotAnExpression(f"unexpected {rest!r}" if rest else "unexpected end")

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.place] if self.place < len(self.tokens) else ("end", "")

    def take(self, value: str) -> bool:
        if self.peek()[1] == value and self.peek()[0] in ("sign", "command"):
            self.place += 1
            return True
        return False

    def sum(self) -> tuple:
        self.depth += 1
        if self.depth > DEEPEST:
            raise OutOfBounds("nested too deeply")
        terms = [self.signed()]
        while True:
            if self.take("+"):
                terms.append(self.product())
            elif self.take("-"):
                terms.append(("neg", self.product()))
            else:
                break
        self.depth -= 1
        return terms[0] if len(terms) == 1 else ("add", terms)

    def signed(self) -> tuple:
        if self.take("-"):
            return ("neg", self.signed())
        if self.take("+"):
            return self.signed()
        return self.product()

    def product(self) -> tuple:
        tree = self.power()
        while True:
            if self.take("*") or self.take("cdot") or self.take("times"):
                tree = ("mul", [tree, self.factor_with_sign()])
            elif self.take("/") or self.take("div"):
                tree = ("div", tree, self.factor_with_sign())
            elif self.starts_a_factor():
                right_is_fraction = self.peek() == ("command", "frac")
                right = self.power()
                if right_is_fraction and _is_mixed(tree, right):
                    tree = ("add", [tree, right])
                elif right[0] == "num" and tree[0] == "num":
                    self.fail()  # "4 2" is no product
                else:
                    tree = ("mul", [tree, right])
            else:
                return tree

    def factor_with_sign(self) -> tuple:
        if self.take("-"):
            return ("neg", self.factor_with_sign())
        if self.take("+"):
            return self.factor_with_sign()
        return self.power()

    def starts_a_factor(self) -> bool:
        kind, value = self.peek()
        if kind in ("num", "name"):
            return True
        if kind == "command":
            return (
                value in FUNCTIONS
                or value in GREEK
                or value in ("frac", "sqrt", "pi", "infty", "left", "binom", "lfloor")
            )
        return kind == "sign" and (value in "({[" or (value == "|" and self.bars == 0))

    def power(self) -> tuple:
        tree = self.atom()
        while True:
            if self.take("!"):
                tree = ("call", "factorial", tree)
            elif self.take("^"):
                return ("pow", tree, self.script())
            elif self.take("'"):
                tree = ("call", "prime", tree)
            else:
                return tree

    def script(self) -> tuple:
        if self.peek() == ("sign", "{"):
            return self.group("{", "}")
        if self.take("-"):
            return ("neg", self.script())
        base = self.atom(short=True)
        if self.take("^"):
            return ("pow", base, self.script())
        return base

    def group(self, opening: str, closing: str) -> tuple:
        if not self.take(opening):
            self.fail()
        bars, self.bars = self.bars, 0
        tree = self.sum()
        self.bars = bars
        if not self.take(closing):
            self.fail()
        return tree

    def argument(self) -> tuple:
        """What a command takes: a group, or one token (``\\frac12``)."""
        if self.peek() == ("sign", "{"):
            return self.group("{", "}")
        return self.atom(short=True)

    def atom(self, short: bool = False) -> tuple:
        kind, value = self.peek()
        if kind == "num":
            if short and value.isdigit() and len(value) > 1:
                # \frac12 takes one digit and leaves the other
                self.tokens[self.place] = ("num", value[1:])
                return _number(value[0])
            self.place += 1
            return _number(value)
        if kind == "name":
            self.place += 1
            return ("name", value + self.subscript())
        if kind == "sign" and value in "([{":
            return self.group(value, {"(": ")", "[": "]", "{": "}"}[value])
        if kind == "sign" and value == "|":
            self.place += 1
            self.bars += 1
            tree = self.sum()
            self.bars -= 1
            if not self.take("|"):
                self.fail()
            return ("call", "abs", tree)
        if kind == "command":
            self.place += 1
            return self.command(value)
        return self.fail()
        return None

    def subscript(self) -> str:
        if not self.take("_"):
            return ""
        kind, value = self.peek()
        if kind in ("num", "name"):
            self.place += 1
            return f"_{value}"
        start = self.place
        self.group("{", "}")
        return "_" + "".join(value for _, value in self.tokens[start : self.place]).strip("{}")

    def command(self, name: str) -> tuple:
        if name == "frac":
            top = self.argument()
            return ("div", top, self.argument())
        if name == "sqrt":
            index = self.group("[", "]") if self.peek() == ("sign", "[") else ("num", Fraction(2), 1)
            bracketed = self.peek() == ("sign", "(")
            inside = self.group("(", ")") if bracketed else self.root_argument()
            return ("pow", inside, ("div", ("num", Fraction(1), 1), index))
        if name == "binom":
            top = self.argument()
            return ("call", "binomial", ("pair", top, self.argument()))
        if name == "lfloor":
            tree = self.sum()
            if not self.take("rfloor"):
                self.fail()
            return ("call", "floor", tree)
        if name in FUNCTIONS:
            return self.function(name)
        if name == "pi" or name == "infty" or name in GREEK:
            return ("name", "\\" + name + self.subscript())
        self.place -= 1
        return self.fail()
        return None

    def root_argument(self) -> tuple:
        kind, value = self.peek()
        if kind == "num" and not value.startswith("0"):
            self.place += 1  # √113 and \sqrt 113 as written by hand
            return _number(value)
        return self.argument()

    def function(self, name: str) -> tuple:
        power = base = None
        if self.take("^"):
            power = self.script()
        if name == "log" and self.take("_"):
            base = self.argument()
        argument = self.group("(", ")") if self.peek() == ("sign", "(") else self.function_argument()
        tree = ("call", name, argument)
        if base is not None:
            tree = ("div", ("call", "ln", argument), ("call", "ln", base))
        return tree if power is None else ("pow", tree, power)

    def function_argument(self) -> tuple:
        """``sin 2x``: the factors up to the next sign or function."""
        tree = self.power()
        while self.starts_a_factor() and self.peek()[1] not in FUNCTIONS and self.peek()[1] != "(":
            tree = ("mul", [tree, self.power()])
        return tree


def _is_mixed(whole: tuple, fraction: tuple) -> bool:
    return (
        whole[0] == "num"
        and whole[1].denominator == 1
        and fraction[0] == "div"
        and fraction[1][0] == fraction[2][0] == "num"
    )


def _number(text: str) -> tuple:
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
