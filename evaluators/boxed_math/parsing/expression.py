r"""A small grammar for LaTeX and plain expressions: text to a tree of tuples, or :class:`NotAnExpression`.

Trees: ``("num", Fraction, significant_digits)``, ``("name", str)``, ``("add"|"mul", [trees])``, ``("neg", tree)``,
``("pow"|"div", tree, tree)``, ``("call", function, tree)``. Implicit multiplication, mixed numbers (``1\frac12``),
``\frac12``, ``\sqrt2``, ``\sqrt[3]{2}``, ``|x|``, ``n!``, ``0.\overline{3}``, ``1e3``.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import NoReturn

from evaluators.boxed_math.bounds import DEEPEST, OutOfBounds
from evaluators.boxed_math.parsing.tokens import FUNCTIONS, GREEK, INVERSES, NotAnExpression, number, tokens

__all__ = ["NotAnExpression", "parse"]


def parse(text: str) -> tuple:
    """The tree of an expression.

    Raises:
        NotAnExpression: it is not one.
        OutOfBounds: it is nested too deeply, or a number is too long.
    """
    return _Parser(tokens(text)).whole()


# Commands that a factor may begin with, also right behind another one.
_FIRST_OF_A_FACTOR = FUNCTIONS | GREEK | {"frac", "pi", "infty", "left", "binom", "lfloor", "lceil"}


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
        terms = [self.signed(self.product)]
        while True:
            if self.take("+"):
                terms.append(self.signed(self.product))  # 2 + -3
            elif self.take("-"):
                terms.append(("neg", self.signed(self.product)))
            else:
                break
        self.depth -= 1
        return terms[0] if len(terms) == 1 else ("add", terms)

    def signed(self, operand: Callable[[], tuple]) -> tuple:
        if self.take("-"):
            return ("neg", self.signed(operand))
        if self.take("+"):
            return self.signed(operand)
        return operand()

    def product(self) -> tuple:
        tree = self.power()
        while True:
            if self.take("*") or self.take("cdot") or self.take("times"):
                tree = ("mul", [tree, self.signed(self.power)])
            elif self.take("/") or self.take("div"):
                tree = ("div", tree, self.signed(self.power))
            elif self.starts_a_factor():
                right_is_fraction = self.peek() == ("command", "frac")
                plain = self.plain_fraction()
                right = plain or self.power()
                if plain or (right_is_fraction and _is_mixed(tree, right)):
                    tree = ("add", [tree, right])
                elif right[0] == "num" and tree[0] == "num":
                    self.fail()  # "4 2" is not a product
                else:
                    tree = ("mul", [tree, right])
            else:
                return tree

    def plain_fraction(self) -> tuple | None:
        """The 1/2 of ``3 1/2``: digits over more digits, right after a number."""
        before, *three = self.tokens[self.place - 1 : self.place + 3]
        if [before[0], *(kind for kind, _ in three)] != ["num", "num", "sign", "num"] or three[1][1] != "/":
            return None
        top, bottom = three[0][1], three[2][1]
        if not (before[1].isdigit() and top.isdigit() and bottom.isdigit() and 0 < int(top) < int(bottom)):
            return None
        self.place += 3
        return ("div", number(top), number(bottom))

    def starts_a_factor(self) -> bool:
        kind, value = self.peek()
        if kind in ("num", "name"):
            return True
        if kind == "command":
            return value in _FIRST_OF_A_FACTOR
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
            elif self.take("degree"):
                tree = ("call", "degree", tree)
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
                return number(value[0])
            self.place += 1
            return number(value)
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
        if name in ("lfloor", "lceil"):
            tree = self.sum()
            if not self.take("r" + name[1:]):
                self.fail()
            return ("call", {"lfloor": "floor", "lceil": "ceil"}[name], tree)
        if name in FUNCTIONS:
            return self.function(name)
        if name == "pi" or name == "infty" or name in GREEK:
            return ("name", "\\" + name + self.subscript())
        self.place -= 1
        return self.fail()

    def root_argument(self) -> tuple:
        kind, value = self.peek()
        if kind == "num" and not value.startswith("0"):
            self.place += 1  # √113 and \sqrt 113 as written by hand
            return number(value)
        return self.argument()

    def function(self, name: str) -> tuple:
        power = base = None
        if self.take("^"):
            power = self.script()
        if name == "log" and self.take("_"):
            base = self.argument()
        if power == ("neg", ("num", Fraction(1), 0)) and name in INVERSES:
            name, power = INVERSES[name], None  # \\tan^{-1} is the inverse function, not 1/tan
        argument = self.group("(", ")") if self.peek() == ("sign", "(") else self.function_argument()
        if name in INVERSES or name == "cis":
            argument = _in_radians(argument)
        tree: tuple = ("call", name, argument)
        if base is not None:
            tree = ("div", ("call", "ln", argument), ("call", "ln", base))
        return tree if power is None else ("pow", tree, power)

    def function_argument(self) -> tuple:
        """``sin 2x``: the factors up to the next sign or function."""
        tree = self.power()
        while self.starts_a_factor() and self.peek()[1] not in FUNCTIONS and self.peek()[1] != "(":
            tree = ("mul", [tree, self.power()])
        return tree


def _in_radians(angle: tuple) -> tuple:
    """The degrees of an angle as numbers; elsewhere a degree is a unit, and left out."""
    if angle[0] == "call" and angle[1] == "degree":
        return ("div", ("mul", [angle[2], ("name", "\\pi")]), ("num", Fraction(180), 0))
    if angle[0] in ("add", "mul"):
        return (angle[0], [_in_radians(part) for part in angle[1]])
    if angle[0] in ("neg", "div"):
        return (angle[0], *map(_in_radians, angle[1:]))
    return angle


def _is_mixed(whole: tuple, fraction: tuple) -> bool:
    return (
        whole[0] == "num"
        and whole[1].denominator == 1
        and fraction[0] == "div"
        and fraction[1][0] == fraction[2][0] == "num"
    )
