r"""Units after an amount: one spelling for each, exponents kept, and words that are not a unit but a number.

A unit is a tuple of (base, exponent): ``km/h`` and ``kilometers per hour`` are ``(("hour", -1), ("kilometer", 1))``. The table of
units is closed. A word outside of it is a counted noun ("42 ways"), a base of its own, except where it changes the amount: "25
million" is a number, and "5 or more" and "3 less than x" are not amounts at all. Nothing is converted: 100 cm is not 1 m, as the
unit asked for is part of the question.
"""

import re
from functools import lru_cache

Unit = tuple[tuple[str, int], ...]

# Canonical name, then its other spellings; plurals in -s and -es are understood. Symbols count with their case.
_NAMES = """
meter metre | inch in | foot feet ft | yard yd yds | mile mi | micron | gram gramme | ton tonne | pound lb lbs | ounce oz
second sec secs | minute min mins | hour hr hrs | day | week wk wks | month mo mos | year yr yrs | liter litre
gallon gal | quart qt | pint pt | cup | tablespoon tbsp | teaspoon tsp | degree deg degs | radian rad rads
celsius centigrade | fahrenheit | kelvin | volt | ampere amp | ohm | watt | joule | calorie cal | newton | pascal | hertz
coulomb | farad | tesla | mole mol | bit | byte | decibel db | revolution rev revs | knot | acre | hectare ha
dollar usd buck | cent | euro eur | sterling gbp quid | yuan rmb cny 元 | yen jpy | ¥ | rupee rs inr
% percent pct percentage | person people | child children | am | pm | unit
""".strip().replace("\n", " | ")
_SYMBOLS = {
    "m": "meter", "s": "second", "h": "hour", "g": "gram", "t": "ton", "L": "liter", "l": "liter", "V": "volt",
    "A": "ampere", "W": "watt", "J": "joule", "N": "newton", "Pa": "pascal", "Hz": "hertz", "K": "kelvin",
    "C": "coulomb", "F": "farad", "T": "tesla", "mol": "mole", "B": "byte", "b": "bit", "Ω": "ohm", "dB": "decibel",
    "米": "meter", "克": "gram", "公斤": "kilogram", "公里": "kilometer", "厘米": "centimeter", "毫米": "millimeter",
    "分米": "decimeter", "千米": "kilometer", "千克": "kilogram", "吨": "ton", "升": "liter", "毫升": "milliliter",
    "小时": "hour", "时": "hour", "分钟": "minute", "秒": "second", "度": "degree", "天": "day", "分": "cent", "人": "person",
    "°": "degree", "\\degree": "degree", "%": "%", "$": "dollar", "‰": "‰",
}  # fmt: skip
_PREFIXES = {
    "n": "nano", "u": "micro", "μ": "micro", "m": "milli", "c": "centi", "d": "deci", "k": "kilo", "M": "mega",
    "G": "giga", "T": "tera",
}  # fmt: skip
_PREFIXED = ("m", "s", "g", "L", "l", "V", "A", "W", "J", "N", "Pa", "Hz", "mol", "B", "b", "C", "F", "T", "Ω")
_WITH_PREFIXES = (
    "meter metre gram liter litre second watt volt amp joule newton pascal hertz byte bit mole calorie ohm "
    "coulomb farad tesla"
)
_COMPOUNDS: dict[str, Unit] = {
    **dict.fromkeys(("mph",), (("hour", -1), ("mile", 1))),
    **dict.fromkeys(("kph", "kmh", "kmph"), (("hour", -1), ("kilometer", 1))),
    **dict.fromkeys(("mps",), (("meter", 1), ("second", -1))),
    **dict.fromkeys(("fps",), (("foot", 1), ("second", -1))),
    **dict.fromkeys(("rpm",), (("minute", -1), ("revolution", 1))),
    **dict.fromkeys(("cc", "ccm"), (("centimeter", 3),)),
    **dict.fromkeys(("sqft",), (("foot", 2),)),
    **dict.fromkeys(("kwh",), (("hour", 1), ("kilowatt", 1))),
}
_MULTIPLIERS = {
    "hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12,
    "lakh": 10**5, "crore": 10**7, "百": 100, "千": 1_000, "万": 10_000, "亿": 10**8,
}  # fmt: skip
# After a number these make another statement of it.
_CHANGING_WORDS = (
    "or and not no less fewer least most than below above under over minus plus mod modulo base negative if "
    "unless except between to from through until half halves third thirds fourth fourths fifth fifths tenth "
    "tenths hundredth hundredths thousandth thousandths squared cubed factorial root pi infinity infty factor "
    "approximately about"
)
_CHANGING = frozenset(_CHANGING_WORDS.split())
_SQUARED = {"square": 2, "sq": 2, "cubic": 3, "cu": 3, "平方": 2, "立方": 3}
_SILENT = frozenset(["of", "the", "a", "an", "each", "cdot", "times"])
_TOKEN = re.compile(r"\^\s*\{?\s*(-?\d)\s*\}?|(/)|([^\W\d_]+|\\degree|[%°$¥‰])|(\d)|([-*·\s.(){}\\]+)|(.)")
# Short words that a product of variables hardly spells, so that they are units even without \text.
_PLAIN_WORDS = (
    "cm mm km kg mg ft in lbs oz hr hrs min mins sec secs mph kph rad deg yd yds kmh ml mL inch inches feet foot "
    "Hz kHz kW kWh kPa usd USD pct"
)
_PLAIN = frozenset(_PLAIN_WORDS.split())
# Words that are used for two units, or for a unit without its scale.
_LOOSE = ({"pound", "sterling"}, {"¥", "yuan"}, {"¥", "yen"}, {"degree", "celsius"}, {"degree", "fahrenheit"})
AM_PM: tuple[Unit, ...] = ((("am", 1),), (("pm", 1),))


def _table() -> dict[str, Unit]:
    table: dict[str, Unit] = dict(_COMPOUNDS)
    for entry in _NAMES.split(" | "):
        spellings = entry.split()
        for spelling in spellings:
            table[spelling] = ((spellings[0], 1),)
    for prefix in _PREFIXES.values():
        for base in _WITH_PREFIXES.split():
            table[prefix + base] = ((prefix + table[base][0][0], 1),)
    return table


_TABLE = _table()
_BY_SYMBOL: dict[str, Unit] = {symbol: ((name, 1),) for symbol, name in _SYMBOLS.items()}
_BY_SYMBOL.update(
    {prefix + symbol: ((word + _SYMBOLS[symbol], 1),) for prefix, word in _PREFIXES.items() for symbol in _PREFIXED}
)
_BY_SYMBOL.update({"dB": (("decibel", 1),), "kcal": (("kilocalorie", 1),), "eV": (("electronvolt", 1),)})


def _known(word: str) -> Unit | None:
    if word in _BY_SYMBOL:
        return _BY_SYMBOL[word]
    folded = word.casefold()
    for spelling in (folded, folded.removesuffix("s") if len(folded) > 3 else folded, folded.removesuffix("es")):
        if spelling in _TABLE:
            return _TABLE[spelling]
    return None


def _noun(word: str) -> str:
    folded = word.casefold()
    if len(folded) > 4 and re.search("(?:x|ch|sh|ss)es$", folded):
        return folded[:-2]
    return folded.removesuffix("s") if len(folded) > 3 and not folded.endswith("ss") else folded


@lru_cache(4096)
def measure(phrase: str) -> tuple[int, Unit, bool] | None:
    """What a phrase after a number says: a factor of the number, its unit, and whether the table knows all of it.

    None where it is not a unit: it changes the amount in another way, or holds what no unit has.
    """
    factor, known, sign, pending = 1, True, 1, 1
    exponents: dict[str, int] = {}
    last: Unit = ()
    phrase = phrase.replace("\\mu", "u").replace("\\Omega", "Ω").replace("\\cdot", "*")
    phrase = re.sub(r"(?<=[A-Za-z])\.(?=\s*[A-Za-z](?![A-Za-z]))", "", phrase)  # p.m.
    for match in _TOKEN.finditer(_chinese(phrase)):
        power, slash, word, digit, _, strange = match.groups()
        if strange:
            return None
        if power or digit:
            if not last or (digit and digit not in "23"):
                return None
            for base, exponent in last:
                exponents[base] += exponent * sign * (int(power or digit) - 1)
            last = ()
        elif slash or (word and word.casefold() in ("per", "every")):
            sign = -1
        elif word:
            folded = word.casefold()
            if folded in ("squared", "cubed") and last:
                for base, exponent in last:
                    exponents[base] += exponent * sign * (1 if folded == "squared" else 2)
                last = ()
                continue
            if folded in _CHANGING:
                return None
            if folded.removesuffix("s") in _MULTIPLIERS:
                if exponents or sign < 0:
                    return None
                factor *= _MULTIPLIERS[folded.removesuffix("s")]
                continue
            if folded in _SILENT:
                continue
            if folded in _SQUARED:
                pending = _SQUARED[folded]
                continue
            unit = _known(word)
            if "degree" in exponents and folded in ("c", "f", "celsius", "fahrenheit"):
                del exponents["degree"]
                unit = (("celsius" if folded[0] == "c" else "fahrenheit", 1),)
            if unit is None:
                if len(word) == 1 and word.isascii():
                    return None  # a name in upright letters
                unit, known = ((_noun(word), 1),), False
            for base, exponent in unit:
                exponents[base] = exponents.get(base, 0) + exponent * sign * pending
            last, pending = tuple((base, exponent * pending) for base, exponent in unit), 1
    unit = tuple(sorted((base, exponent) for base, exponent in exponents.items() if exponent))
    return factor, () if unit == (("unit", 1),) else unit, known


def _chinese(phrase: str) -> str:
    """万, 亿 and 平方 stand close to their unit."""
    if phrase.isascii():
        return phrase
    return re.sub(r"平方|立方|[万亿]|[百千](?![米克])", r" \g<0> ", phrase)


def is_unit(phrase: str) -> bool:
    """Whether the closed table holds every part of the phrase."""
    found = measure(phrase)
    return found is not None and found[2] and bool(found[1])


def same_unit(first: Unit, second: Unit) -> bool:
    """Whether two units agree; one that is left out agrees with any, as "square units" does with any area."""
    if first == second or not first or not second:
        return True
    if len(first) == len(second) == 1:
        (a, n), (b, m) = first[0], second[0]
        return n == m and ("unit" in (a, b) or {a, b} in _LOOSE)
    return False


_GROUP = r"\\text\{[^{}]*\}(?:\s*\^\s*(?:\{\s*-?\d\s*\}|\d))?\s*"
_SET_AS_TEXT = re.compile(rf"(?:{_GROUP})++$")
_SIGN = re.compile(r"(?:\\degree|%|‰)\s*(?:\\text\{\s*[CF]\s*\}|[CF])?$")
_EXPONENT = r"(?:\^\s*(?:\{\s*-?\d\s*\}|\d))?"
_WORDS = re.compile(
    rf"(?:(?<=[\d}})!])|(?<=\\pi))\s*((?:[^\W\d_]+{_EXPONENT}(?:\s*/\s*|\.?\s+|\.|\s?\*\s?))*[^\W\d_]+\.?\s*{_EXPONENT})$"
)


def split_unit(text: str) -> tuple[str, int, Unit, str] | None:
    r"""The text before its unit, the factor that the words name, the unit, and how sure that is; None where there is none.

    ``"set"``: set as a unit (``\text``, a sign); ``"plain"``: letters that hardly are anything else (``12 cm``); ``"letters"``:
    known, but perhaps variables (``5m``); ``"words"``: outside of the table.
    """
    for pattern in (_SIGN, _SET_AS_TEXT, _WORDS):
        match = pattern.search(text)
        if not match or match.start() == 0:
            continue
        phrase = match[0].replace("\\text", " ") if pattern is not _WORDS else match[1]
        found = measure(phrase)
        if found is None:
            continue
        factor, unit, known = found
        bare = text[: match.start()].strip()
        if pattern is not _WORDS:
            # \text{ million} may follow, or be followed by, plain words.
            more = split_unit(bare) if factor == 1 else None
            if more and more[1] != 1 and not more[2]:
                bare, factor = more[0], more[1]
            return bare, factor, unit, "set"
        words = re.findall(r"[^\W\d_]+", phrase)
        if factor != 1 or (
            known and (_PLAIN.intersection(words) or phrase.replace(" ", "") in ("m/s", "m/s^2", "m/s^{2}"))
        ):
            return bare, factor, unit, "plain"
        return bare, factor, unit, "letters" if known else "words"
    return None
