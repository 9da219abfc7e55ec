r"""Whether two expressions have the same value wherever school mathematics gives them one.

They are equal when they agree at every trial point at which both are real. So ``\ln(1/x)`` is ``-\ln x``, as both live among
the positive numbers, and ``\sqrt{x^2}`` is not ``x``, as both are real at -2 and differ there. An expression with bars is meant
for negative numbers: ``\ln|x|`` is not ``\ln x``. What is real nowhere, or names i, is compared at complex values.
"""

from fractions import Fraction
from typing import Any

from evaluators.boxed_math.bounds import OutOfBounds
from evaluators.boxed_math.comparison import value

FULL_PRECISION = 13
Number = Any  # a Fraction, or a number of mpmath, which has no types


def same_value(first: tuple, second: tuple) -> bool:
    """Whether two expressions agree at every trial point (both undefined at all of them is not agreement)."""
    free = value.names(first) | value.names(second)
    if not free:
        found = _agree(first, second, 0, real=False)
        return bool(found) or (
            found is False
            and _rounded(first, second, *(_value(tree, 0, value.DIGITS[0], False) for tree in (first, second)))
        )
    if not (value.is_complex(first) or value.is_complex(second)):
        found = _agree_where_real(first, second, len(free))
        if found is not None:
            return found
    outcomes = [_agree(first, second, trial, real=False) for trial in (0, 1, 2)]
    return False not in outcomes and True in outcomes


def _agree_where_real(first: tuple, second: tuple, variables: int) -> bool | None:
    """Whether they agree at all trial points where both are real; None where there is no such point."""
    bars, agreed = value.has_bars(first) or value.has_bars(second), 0
    for trial in (*value.EVERYWHERE, *(value.MIXED if variables > 1 else ()), *value.FURTHER):
        if trial in value.FURTHER and agreed > 1:
            break
        try:
            found = _agree(first, second, trial, real=True, one_sided=not bars)
        except OutOfBounds:
            if agreed:  # too large only far out, where nothing was left to prove
                continue
            raise
        if found is False:
            return False
        agreed += bool(found)
    return True if agreed else None


def _agree(first: tuple, second: tuple, trial: int, real: bool, one_sided: bool = True) -> bool | None:
    """Whether they agree at one point, to 60 digits and again to 250; None where one has no value.

    Without ``one_sided``, a value of only one of them is a disagreement.
    """
    for digits in value.DIGITS:
        found = [_value(tree, trial, digits, real) for tree in (first, second)]
        if None in found:
            return None if one_sided or found == [None, None] else False
        a, b = found
        if isinstance(a, Fraction) and isinstance(b, Fraction):
            return a == b
        a, b = _like(a, b), _like(b, a)
        difference, scale = abs(a - b), max(abs(a), abs(b))
        if difference > scale * 10 ** (15 - digits) and difference > 10.0 ** (15 - digits):
            return False
    return True


def _value(tree: tuple, trial: int, digits: int, real: bool) -> Number | None:
    try:
        return value.evaluate(tree, trial, digits, real)
    except value.Undefined:
        return None


def real_value(tree: tuple) -> Number | None:
    """The real value of a constant to 60 digits, as a Fraction or an mpf; None if it has none."""
    if value.names(tree):
        return None
    found = _value(tree, 0, value.DIGITS[0], real=True)
    return found if found is None or isinstance(found, Fraction) else found.real


def near(exact: tuple, printed: tuple) -> bool:
    """Whether a decimal is the other rounded, to a unit of its last place; what is not a decimal may be off by a hundredth."""
    a, b = real_value(exact), real_value(printed)
    if a is None or b is None:
        return False
    difference = abs(_like(a, b) - _like(b, a))
    number = printed[1] if printed[0] == "neg" else printed
    if number[0] != "num":
        return bool(difference <= abs(b) / 100)
    places = next((places for places in range(60) if 10**places % number[1].denominator == 0), 60)
    return bool(difference * 10**places <= 1)


def less(first: Number, second: Number) -> bool:
    """Whether one real value is smaller than another by more than rounding."""
    if isinstance(first, Fraction) and isinstance(second, Fraction):
        return first < second
    difference = _like(second, first) - _like(first, second)
    return bool(difference.real > 1e-40)


def ratio(first: tuple, second: tuple) -> Number | None:
    """The constant c with first = c · second everywhere, or None; real and not zero."""
    free = value.names(first) | value.names(second)
    found: list = []
    if not (value.is_complex(first) or value.is_complex(second)):
        found = _ratios(first, second, (*value.EVERYWHERE, *(value.MIXED if len(free) > 1 else ())), real=True)
    if not found:
        found = _ratios(first, second, (0, 1, 2), real=False)
    if not found or None in found or any(abs(one / found[0] - 1) > 1e-40 for one in found):
        return None
    constant = found[0]
    if isinstance(constant, Fraction):
        return constant
    return constant.real if abs(constant.imag) < 1e-12 * abs(constant.real) else None


def _ratios(first: tuple, second: tuple, trials: tuple, real: bool) -> list:
    """first / second where both have a value; None where only one of them is zero."""
    ratios = []
    for trial in trials:
        a, b = (_value(tree, trial, value.DIGITS[0], real) for tree in (first, second))
        if a is None or b is None:
            continue
        nothing = [abs(side) < 1e-40 for side in (a, b)]  # each by itself: a fraction and a float do not compare
        if not all(nothing):
            ratios.append(None if any(nothing) else _like(a, b) / _like(b, a))
    return ratios


def _like(number: Number, other: Number) -> Number:
    """A Fraction turned into the other's kind of number."""
    if isinstance(number, Fraction) and not isinstance(other, Fraction):
        context = other.context
        return context.mpc(context.mpf(number.numerator) / number.denominator)
    return number


def _rounded(first: tuple, second: tuple, a: Number, b: Number) -> bool:
    """Whether one is the other printed to full float precision."""
    for tree, exact in ((first, b), (second, a)):
        printed = tree[1] if tree[0] == "neg" else tree
        if printed[0] == "num" and printed[2] >= FULL_PRECISION:
            shown = Fraction(printed[1]) * (-1 if tree[0] == "neg" else 1)
            # No float is larger or smaller; and Python refuses to print the digits of such a denominator.
            if not 1e-300 < abs(shown) < 1e300 or abs(exact) > 1e300:
                return False
            places = len(str(shown.denominator)) - 1
            return abs(complex(exact) - float(shown)) <= 10.0 ** -min(places, 15) + abs(float(shown)) * 3e-16
    return False
