"""The value of an expression tree at a point: an exact rational where possible, else a complex number to many digits.

Everything is bounded: exponents, factorials, the size of numbers and the work on them. Beyond a bound
:class:`~evaluators.boxed_math.bounds.OutOfBounds` is raised, and where a value does not exist (division by zero)
:class:`Undefined`.
"""

import hashlib
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from typing import Any

from evaluators.boxed_math.bounds import OutOfBounds, spend

LARGEST_BITS = 200_000
LARGEST_FACTORIAL = 3_000
LARGEST_MAGNITUDE = 2_000_000  # bits of an inexact number, before or after the point
LARGEST_ANGLE_BITS = 5_000  # beyond, a sine needs π to as many bits
DIGITS = (60, 250)  # working precisions; a difference that is only rounding shrinks with the second


class Undefined(Exception):
    """No value at this point."""


@cache
def _context(digits: int) -> Any:
    import mpmath  # here, so that answers which are plain numbers never load it

    context = mpmath.mp.clone()
    context.dps = digits
    return context


# (sign, scale) of the variables in each trial; a sign of 0 is mixed. Roots and logarithms live among the positive numbers, and
# |x - 5| is told from 5 - x only beyond 5.
_TRIALS = (
    (1, 1),
    (1, 16),
    (-1, 1),
    (-1, 16),
    (0, 1),
    (0, 1),
    (0, 1),
    (1, Fraction(1, 16)),
    (-1, Fraction(1, 16)),
    (1, 200),
    (-1, 200),
)
EVERYWHERE, MIXED, FURTHER = range(4), range(4, 7), range(7, 11)


def point(name: str, trial: int) -> Fraction:
    """A variable's value in a trial: rational, and the same for both sides."""
    spend(5)
    seed = int.from_bytes(hashlib.sha256(f"{name} {trial}".encode()).digest()[:4], "big")
    sign, scale = _TRIALS[trial]
    if sign == 0:  # another bit of the name in each of the three trials, so that any two letters differ in one
        sign = -1 if sum(map(ord, name)) >> (trial - MIXED[0]) & 1 else 1
    return Fraction(seed % 9_973 + 1_009, 4_001) * sign * scale


def nodes(tree: tuple) -> Iterator[tuple]:
    """The tree and every tree in it."""
    spend(1)
    yield tree
    for part in tree[1:]:
        for item in part if isinstance(part, list) else (part,):
            if isinstance(item, tuple):
                yield from nodes(item)


def names(tree: tuple) -> set[str]:
    """The free variables of a tree."""
    return {node[1] for node in nodes(tree) if node[0] == "name" and node[1] not in ("\\pi", "e", "i")}


def is_complex(tree: tuple) -> bool:
    """Whether it mentions complex numbers: then roots of negative numbers are meant."""
    return any(node == ("name", "i") or node[:2] == ("call", "cis") for node in nodes(tree))


def has_bars(tree: tuple) -> bool:
    """Whether it holds an absolute value, which tells that negative numbers are meant too."""
    return any(node[:2] == ("call", "abs") for node in nodes(tree))


def evaluate(tree: tuple, trial: int, digits: int, real: bool = False) -> Any:
    """A Fraction, or a complex number of ``digits`` digits; with ``real``, no step may leave the real numbers.

    Raises:
        OutOfBounds: too large.
        Undefined: no value here.
    """
    context = None if tree[0] == "num" else _context(digits)
    return _Evaluation(trial, context, digits, real).of(tree)


class _Evaluation:
    def __init__(self, trial: int, context: Any, digits: int, real: bool) -> None:
        self.trial, self.mp, self.digits, self.real = trial, context, digits, real

    def of(self, tree: tuple) -> Any:
        spend(2)
        result = self._of(tree)
        if isinstance(result, Fraction):
            if _bits(result) > LARGEST_BITS:
                raise OutOfBounds("a number is too large to compare")
        elif not self.mp.isfinite(result):
            raise Undefined  # ln 0: infinities less infinities would agree with anything
        elif result and abs(self.mp.mag(result)) > LARGEST_MAGNITUDE:
            raise OutOfBounds("a number is too large to compare")
        elif self.real and abs(result.imag) > abs(result) * self.mp.mpf(10) ** (15 - self.digits):
            raise Undefined  # a root or a logarithm of a negative number
        return result

    def _of(self, tree: tuple) -> Any:
        kind = tree[0]
        if kind == "num":
            return tree[1]
        if kind == "name":
            return self.name(tree[1])
        if kind == "neg":
            return -self.of(tree[1])
        if kind == "add":
            return self.fold(tree[1], lambda a, b: a + b)
        if kind == "mul":
            return self.fold(tree[1], lambda a, b: a * b)
        if kind == "div":
            top, bottom = self.same_kind(self.of(tree[1]), self.of(tree[2]))
            if bottom == 0:
                raise Undefined
            return top / bottom
        if kind == "pow":
            return self.power(self.of(tree[1]), self.of(tree[2]))
        return self.call(tree[1], tree[2])

    def name(self, name: str) -> Any:
        if name == "\\pi":
            return self.mp.mpc(self.mp.pi)
        if name == "e":
            return self.mp.mpc(self.mp.e)
        if name == "i":
            return self.mp.mpc(0, 1)
        return point(name, self.trial)

    def fold(self, trees: list[tuple], operation: Callable[[Any, Any], Any]) -> Any:
        total = self.of(trees[0])
        for tree in trees[1:]:
            total = operation(*self.same_kind(total, self.of(tree)))
        return total

    def same_kind(self, a: Any, b: Any) -> tuple[Any, Any]:
        if isinstance(a, Fraction) and isinstance(b, Fraction):
            bits = _bits(a) + _bits(b)
            spend(bits * bits // 1_000_000)
            if bits > 2 * LARGEST_BITS:
                raise OutOfBounds("a number is too large to compare")
            return a, b
        spend(self.digits // 8)
        return self.inexact(a), self.inexact(b)

    def inexact(self, value: Any) -> Any:
        if isinstance(value, Fraction):
            spend(10 + _bits(value) // 100)
            return self.mp.mpc(self.mp.mpf(value.numerator) / self.mp.mpf(value.denominator))
        return value

    def power(self, base: Any, exponent: Any) -> Any:
        if isinstance(exponent, Fraction) and isinstance(base, Fraction):
            if base == 0:
                if exponent <= 0:
                    raise Undefined
                return base
            root = _exact_root(base, exponent.denominator)
            if root is not None:
                if abs(exponent.numerator) * _bits(root) > LARGEST_BITS:
                    raise OutOfBounds("a power is too large to compare")
                spend((exponent.numerator * _bits(root)) ** 2 // 4_000_000)
                return root**exponent.numerator
            if base < 0 and exponent.denominator % 2:
                # The real root of a negative number, as \sqrt[3]{-2} is meant.
                sign = -1 if exponent.numerator % 2 else 1
                return sign * self.power(-base, exponent)
        degree = exponent.denominator if isinstance(exponent, Fraction) else 1
        odd = exponent if degree % 2 and degree > 1 else None
        base, exponent = self.inexact(base), self.inexact(exponent)
        if base == 0:
            raise Undefined
        spend(2 * self.digits)
        if self.real and odd and base.real < 0:
            return (-1 if odd.numerator % 2 else 1) * self.mp.power(-base, exponent)
        if abs(exponent) > 10**6 or abs(exponent * self.mp.log(base)) > LARGEST_BITS:
            raise OutOfBounds("a power is too large to compare")
        return self.mp.power(base, exponent)

    def call(self, function: str, argument: tuple) -> Any:
        if function == "binomial":
            return self.binomial(argument)
        if function == "prime":
            return point(f"{argument}'", self.trial)
        value = self.of(argument)
        if function == "degree":
            return value  # outside of an angle the unit is left out
        if function == "factorial":
            if not isinstance(value, Fraction) or value.denominator != 1 or value < 0:
                raise OutOfBounds("a factorial of something else than a whole number")
            if value > LARGEST_FACTORIAL:
                raise OutOfBounds("a factorial is too large to compare")
            return Fraction(math.factorial(int(value)))
        if function in _EXACT and isinstance(value, Fraction):
            return Fraction(_EXACT[function](value))
        inexact = self.inexact(value)
        spend(2 * self.digits)
        if function in _OF_ANGLES and inexact and self.mp.mag(inexact) > LARGEST_ANGLE_BITS:
            raise OutOfBounds("an angle is too large to compare")
        if abs(inexact) > 10**6 and function in ("exp", "sinh", "cosh", "tanh"):
            raise OutOfBounds("an exponential is too large to compare")
        if function in ("floor", "ceil"):
            return Fraction(int(getattr(self.mp, function)(inexact.real)))
        if function == "abs":
            return self.mp.mpc(abs(inexact))
        if function == "cis":
            return self.mp.mpc(self.mp.cos(inexact) + self.mp.mpc(0, 1) * self.mp.sin(inexact))
        try:
            return self.mp.mpc(getattr(self.mp, _FUNCTIONS.get(function, function))(inexact))
        except (ZeroDivisionError, ValueError):
            raise Undefined from None

    def binomial(self, pair: tuple) -> Fraction:
        top, bottom = self.of(pair[1]), self.of(pair[2])
        for value in (top, bottom):
            if not isinstance(value, Fraction) or value.denominator != 1 or not 0 <= value <= LARGEST_FACTORIAL:
                raise OutOfBounds("a binomial coefficient out of bounds")
        return Fraction(math.comb(int(top), int(bottom)))


_EXACT: dict[str, Callable[[Fraction], int | Fraction]] = {"floor": math.floor, "ceil": math.ceil, "abs": abs}
_OF_ANGLES = frozenset(["sin", "cos", "tan", "cot", "sec", "csc", "cis"])
_FUNCTIONS = {"log": "log10", "lg": "log10"} | {
    prefix + name: "a" + name
    for prefix in ("arc", "ar")
    for name in ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh")
}


def _bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _exact_root(value: Fraction, degree: int) -> Fraction | None:
    """The rational root of that degree, or None; the real one for odd degrees of negative numbers."""
    if degree == 1:
        return value
    if value < 0:
        if degree % 2 == 0:
            return None
        root = _exact_root(-value, degree)
        return None if root is None else -root
    if degree > 64 or _bits(value) > LARGEST_BITS:
        return None
    top, bottom = _whole_root(value.numerator, degree), _whole_root(value.denominator, degree)
    return Fraction(top, bottom) if top is not None and bottom is not None else None


def _whole_root(value: int, degree: int) -> int | None:
    spend(value.bit_length() ** 2 // 50_000)
    if degree == 2:
        root = math.isqrt(value)
    else:
        # Newton's steps from above: a search bit by bit takes a minute at 100,000 bits.
        root, lower = 1 << (value.bit_length() // degree + 1), 0
        while True:
            lower = ((degree - 1) * root + value // root ** (degree - 1)) // degree
            if lower >= root:
                break
            root = lower
    return root if root**degree == value else None
