r"""One spelling for what means the same; nothing that could change a value.

Each rule is a line of ``_RULES`` or a short function with its reason.
"""

import re
import unicodedata

from evaluators.boxed_math.bounds import OutOfBounds

_FRACTIONS = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅛": "1/8"}
_SIGNS = {
    "−": "-", "–": "-", "—": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": r"\div ", "∗": "*",
    "π": r"\pi ", "∞": r"\infty ", "√": r"\sqrt ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "±": r"\pm ",
    "∓": r"\mp ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "°": r"^\circ ", "²": "^2", "³": "^3", "′": "'",
    "θ": r"\theta ", "⟨": r"\langle ", "⟩": r"\rangle ", "∅": r"\emptyset ", "∛": r"\sqrt[3]",
}  # fmt: skip
_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:boxed|fbox)\s*\{((?:[^{}]|\{[^{}]*\})*)\}", r"\1"),  # a box in the box
        (r"(?<!\\)\\[()\[\]]", " "),  # inline maths inside the box: \( 42 \)
        (r"(?<!\\)\$", " "),  # and $42$
        (r"\\(?:left|right)(?![A-Za-z])\s*\.?(?!\d)", ""),  # \left. is an invisible bracket
        (r"\\(?:left|right|bigl|bigr|bigg?|Bigg?|displaystyle|textstyle|limits|nolimits)(?![A-Za-z])", " "),
        (r"\{,\}|,\\!\s*", ","),  # thousands, as LaTeX spaces them
        (r"\\(?:[!,;:>]|quad|qquad|hspace\{[^{}]*\}|phantom\{[^{}]*\}|ldotp?)(?![A-Za-z])", " "),  # spaces
        (r"(?<!\\)\\ |~|&nbsp;", " "),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\(?:mathrm|mathbf|mathit|mathsf|mathbb|boldsymbol|bm|rm|bf|operatorname\*?)\s*\{([^{}]*)\}", r"\1"),
        (r"\\(?:textbf|textit|textrm|textnormal|mbox|hbox|textsf|emph|text)\s*\{", r"\\text{"),
        (r"\\(?:leqslant|leqq|leq)(?![A-Za-z])|<=", r"\\le "),
        (r"\\(?:geqslant|geqq|geq)(?![A-Za-z])|>=", r"\\ge "),
        (r"\\(?:neq)(?![A-Za-z])|!=", r"\\ne "),
        (r"\\lt(?![A-Za-z])", "<"),
        (r"\\gt(?![A-Za-z])", ">"),
        (r"\\degrees?(?![A-Za-z])|\^\s*\{\s*\\circ\s*\}|\^\s*\\circ(?![A-Za-z])", r" \\degree "),
        (r"\\(?:lbrace)(?![A-Za-z])", r"\\{"),
        (r"\\(?:rbrace)(?![A-Za-z])", r"\\}"),
        (r"\\(?:dots|ldots|cdots)(?![A-Za-z])", " ... "),
        (r"\*\*", "^"),
        (
            r"^\s*(?:\\\$|US\\\$)\s*(?!.*\\text)(.+)$",
            r"\1\\text{ dollars}",
        ),  # currency in front of an amount is its unit
        (r"^\s*€\s*(.+)$", r"\1\\text{ euros}"),
        (r"\\\$|[€£]", " "),
        (r"\\%", "%"),
    )
)
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])|(?<![\d.,] )(?<![\d.,])\d{1,3}(?: \d{3})+(?! ?\d)")
# Possessive, and one way to read each space: "\text{" and spaces would otherwise be tried over and over.
_TRAILING = re.compile(r"(?:\s|\\\\|[.;,]|\\text\{\s*(?:[.,;]\s*)?\})++$")
WIDEST = 8_000  # characters of a box once it is spelt out; one character may become a dozen


def normalise(answer: str) -> str:
    """One line, one space, one spelling.

    The thousands rule reads 1,234 and 1 234 as one number, 12,34 and ``1, 234`` as two; inside brackets a comma separates.

    Raises:
        OutOfBounds: too many characters.
    """
    answer = "".join(_SIGNS.get(character, character) for character in answer)
    answer = "".join(f"\\frac{{{_FRACTIONS[c][0]}}}{{{_FRACTIONS[c][2]}}}" if c in _FRACTIONS else c for c in answer)
    answer = unicodedata.normalize("NFKC", answer)
    if len(answer) > WIDEST:
        raise OutOfBounds("the box is too long to compare")
    for pattern, replacement in _RULES:
        answer = pattern.sub(replacement, answer)
    if not re.search(r"[(\[]|\\\{", answer):
        answer = _THOUSANDS.sub(lambda number: re.sub("[, ]", "", number[0]), answer)
    answer = _TRAILING.sub("", answer.strip())
    return re.sub(r"\s+", " ", answer).strip()
