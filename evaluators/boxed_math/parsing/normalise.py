r"""One spelling for what means the same; nothing that could change a value.

Each rule is a line of ``_RULES`` or a short function with its reason. ``characters`` has spelt Unicode as LaTeX before.
"""

import re

from evaluators.boxed_math.bounds import OutOfBounds
from evaluators.boxed_math.parsing.characters import spelt
from evaluators.boxed_math.parsing.units import is_unit

_SIZES = "tiny|scriptsize|footnotesize|small|normalsize|large|Large|LARGE|huge|Huge"
_STYLES = "displaystyle|textstyle|scriptstyle|limits|nolimits|rm|bf|it|sf|tt|mathstrut|strut|notag|nonumber|protect"
_FONTS = r"math(?:bf|it|sf|tt|cal|normal|op|ord)|boldsymbol|pmb|bm|ensuremath|smash|underline|operatorname\*?"
_TEXTS = "textbf|textit|textrm|textnormal|textup|textmd|textsc|textsl|texttt|mbox|hbox|textsf|emph|text"
_NTH = "(?:st|nd|rd|th)"
_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:boxed|fbox)\s*\{((?:[^{}]|\{[^{}]*\})*)\}", r"\1"),  # a box in the box
        (r"(?<!\\)\\[()\[\]]", " "),  # inline maths inside the box: \( 42 \)
        # Colour and size say nothing; what they hold stays in its braces.
        (r"\\(?:textcolor|colorbox|fcolorbox\s*\{[^{}]*\})\s*\{[^{}]*\}\s*", ""),
        (r"\\color\s*\{[^{}]*\}|\\(?:tag|label)\s*\{[^{}]*\}", " "),
        (r"\{ ?\\rm (?=[^{}]*\})", r"\\mathrm{"),
        (rf"\\(?:{_SIZES}|{_STYLES})(?![A-Za-z])", " "),
        (r"\\(?:left|right|middle)(?![A-Za-z])\s*\.?(?!\d)", ""),  # \left. is an invisible bracket
        (r"\\(?:left|right|middle|(?:big|Big|bigg|Bigg)[lrm]?)(?![A-Za-z])", " "),
        (r"\{,\}|,\\!\s*", ","),  # thousands, as LaTeX spaces them
        (
            r"\\(?:[!,;:>]|quad|qquad|enspace|thinspace|hspace\*?\{[^{}]*\}|[vh]?phantom\{[^{}]*\}|ldotp?)(?![A-Za-z])",
            " ",
        ),
        (r"(?<!\\)\\ |~|&nbsp;", " "),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\[dt]binom(?![A-Za-z])", r"\\binom"),
        (r"\{([^{}]*)\\choose(?![A-Za-z])([^{}]*)\}", r"\\binom{\1}{\2}"),
        (r"\{([^{}]*)\\over(?![A-Za-z])([^{}]*)\}", r"\\frac{\1}{\2}"),
        (r"\\(?:mathbb|Bbb)\s*\{?\s*([RCZNQ])(?![A-Za-z])\s*\}?|\\([RCZNQ])(?![A-Za-z])", r"\\mathbb{\1\2}"),
        (rf"\\(?:{_TEXTS})\s*\{{", r"\\text{"),
        (r"(?<=\S) ?\\text\{ ?(?:is|equals|is equal to) ?\}", " = "),
        (r"(\\text\{[^{}]*\^)\{ ?(-?\d) ?\}", r"\1\2"),  # no braces in a text
        (r"(\\mathbb\{[RCZNQ]\}) ?- ?(?=\\\{)", r"\1\\setminus "),
        (r"\\mathrm\s*\{\s*(and|or)\s*\}", r"\\text{\1}"),
        (r"\\mathbb\s*\{\s*(?![RCZNQ]\s*\})([^{}]*)\}", r"\1"),
        # \circ\mathrm{C} is not \circC
        (rf"(?<=[A-Za-z])\\(?:mathrm|{_FONTS})\s*\{{(?=[A-Za-z])([^{{}}]*)\}}", r" \1"),
        (rf"\\(?:mathrm|{_FONTS})\s*\{{([^{{}}]*)\}}", r"\1"),
        (r"\\text\{\s*((?:arc)?(?:sin|cos|tan|cot|sec|csc)|cis|ln|log)\s*\}", r"\\\1 "),
        # m/s set as two texts is one unit.
        (r"\\frac\s*\{\\text\{([^{}]*)\}\}\{\\text\{([^{}]*)\}(\^\d|\^\{\d\})?\}", r"\\text{\1/\2}\3"),
        (r"\\text\{([^{}]*)\}\s*(\^-?\d)?\s*(?:(/)|(?:\\cdot|\\times)(?![A-Za-z]))\s*\\text\{", r"\\text{\1\2\3 "),
        # 15th is the number 15.
        (rf"(?<=\d) ?(?:\^ ?\{{ ?\\text\{{ ?{_NTH} ?\}} ?\}}|\^? ?\\text\{{ ?{_NTH} ?\}})", ""),
        (r"(?<=1)\^ ?\{ ?st ?\}|(?<=2)\^ ?\{ ?nd ?\}|(?<=3)\^ ?\{ ?rd ?\}|(?<=\d)\^ ?\{ ?th ?\}", ""),
        (r"(?:(?<=1)st|(?<=2)nd|(?<=3)rd|(?<=\d)th)(?![A-Za-z])", ""),
        (r"\\(?:leqslant|leqq|leq)(?![A-Za-z])|<=", r"\\le "),
        (r"\\(?:geqslant|geqq|geq)(?![A-Za-z])|>=", r"\\ge "),
        (r"\\(?:neq)(?![A-Za-z])|!=|\\not\s*=", r"\\ne "),
        (r"\\lt(?![A-Za-z])", "<"),
        (r"\\gt(?![A-Za-z])", ">"),
        (r"\\(?:approxeq|doteq|thickapprox)(?![A-Za-z])", r"\\approx "),
        (r"\\(?:rightarrow|longrightarrow)(?![A-Za-z])", r"\\to "),
        (r"\\(?:Leftrightarrow|Rightarrow|Longrightarrow|implies|iff|therefore|because)(?![A-Za-z])", r"\\implies "),
        (r"^(?:\s|=|:|\\(?:approx|sim|implies|to)(?![A-Za-z]))+", ""),  # a sign that has nothing on its left
        (r"(?:\\text|(?<!\\))\{\s*\}(?=\s*\^)", ""),
        (r"\\degrees?(?![A-Za-z])|\^\s*\{\s*\\circ\s*\}|\^\s*\\circ(?![A-Za-z])", r" \\degree "),
        (r"\\(?:lbrace)(?![A-Za-z])", r"\\{"),
        (r"\\(?:rbrace)(?![A-Za-z])", r"\\}"),
        (r"\\[lr]?vert(?![A-Za-z])", "|"),
        (r"\\(?:backslash|smallsetminus)(?![A-Za-z])", r"\\setminus "),
        (r"\\(?:varnothing|emptyset|O)(?![A-Za-z])", r"\\{\\}"),
        (r"\\(?:dots|ldots|cdots)(?![A-Za-z])", " ... "),
        (r"\\var(epsilon|theta|phi|rho|sigma|kappa)(?![A-Za-z])", r"\\\1"),
        (r"\*\*", "^"),
        (r"\\(?:overline|bar)\s*(?:\{\s*(\d+)\s*\}|(\d))", r"\\overline{\1\2}"),
        (r"\\dot\s*\{?(\d)\s*\}?(\d*)\\dot\s*\{?(\d)\s*\}?", r"\\overline{\1\2\3}"),  # 0.\dot1 4\dot2: from dot to dot
        (r"\\dot\s*\{?(\d)\s*\}?", r"\\overline{\1}"),
        (r"(?<=\d\.)\((\d+)\)", r"\\overline{\1}"),  # 0.(3): nothing else can follow a bare point
        # 0.333… and 0.1212…, where the period is seen to return
        (r"((?<![\d.])\d*\.\d*?)(\d)\2{2,}\s*\.\.\.", r"\1\\overline{\2}"),
        (r"((?<![\d.])\d*\.\d*?)(\d{2,8})\2+\s*\.\.\.", r"\1\\overline{\2}"),
        # Currency in front is the unit.
        (r"^\s*(-?)\s*(?:US|USD)?\s*\\\$\s*(?!.*\\text)(.+)$", r"\1\2\\text{ dollars}"),
        (r"^\s*(-?)\s*€\s*(.+)$", r"\1\2\\text{ euros}"),
        (r"^\s*(-?)\s*(?:£|\\pounds)\s*(.+)$", r"\1\2\\text{ sterling}"),
        (r"^\s*(-?)\s*¥\s*(.+)$", r"\1\2\\text{ ¥}"),
        (r"(?<=\d)\s*€", r"\\text{ euros}"),
        (r"(?<=\d)\s*¥", r"\\text{ ¥}"),
        (r"(?<=\d)\s*(?:¢|\\cent(?![A-Za-z]))", r"\\text{ cents}"),
        (r"\\\$|[€£¢]", " "),
        (r"\\%", "%"),
        (r"\\text\{\s*%\s*\}", "%"),
    )
)


def _needs_a_command(pattern: str) -> bool:
    """Whether it can match nothing but what begins with a backslash."""
    while pattern != (inner := re.sub(r"\([^()]*\)", "", pattern)):
        pattern = inner
    return pattern.startswith(r"\\") and "|" not in pattern


_PLAIN_RULES = tuple(rule for rule in _RULES if not _needs_a_command(rule[0].pattern))
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])|(?<![\d.,] )(?<![\d.,])\d{1,3}(?: \d{3})+(?! ?\d)")
# Possessive, and one way to read each space: "\text{" and spaces would otherwise be tried over and over.
_TRAILING = re.compile(r"(?:\s|\\\\|[.;,]|\\text\{\s*(?:[.,;]\s*)?\})++$")
# An upright word after a number may be its unit; an upright e or i is a number, and any other is a name.
_UPRIGHT = re.compile(r"(?<=[\d})! ,;~/])\\mathrm ?\{ ?((?:[^{}]|\{[^{}]*\})*)\}(?! ?[_(A-Za-z\d])")
_UPRIGHT_FRACTION = re.compile(
    r"(?<=[\d})! ,;~])\\frac ?\{ ?\\mathrm ?\{([^{}]*)\} ?\} ?\{ ?\\mathrm ?\{([^{}]*)\} ?\}"
)
_PLAIN = re.compile(r"-?\d+(?:\.\d+)?")
WIDEST = 8_000  # characters of a box once it is spelt out; one character may become a dozen


def normalise(answer: str) -> str:
    """One line, one space, one spelling.

    The thousands rule reads 1,234 and 1 234 as one number, 12,34 and ``1, 234`` as two; inside brackets a comma separates.

    Raises:
        OutOfBounds: too many characters.
    """
    answer = spelt(answer)
    if len(answer) > WIDEST:
        raise OutOfBounds("the box is too long to compare")
    if _PLAIN.fullmatch(answer):
        return answer
    # One space each, so that no rule below tries long runs of them; and the dollars that delimit maths, not those of a currency.
    answer = re.sub(r"\s+", " ", re.sub(r"(?<!\\)\$", " ", answer))
    if "\\mathrm" in answer:
        answer = _UPRIGHT_FRACTION.sub(r"\\mathrm{\1/\2}", answer)
        answer = _UPRIGHT.sub(_as_text, answer)
    for pattern, replacement in _RULES if "\\" in answer else _PLAIN_RULES:
        answer = pattern.sub(replacement, answer)
    if not re.search(r"[(\[]|\\\{", answer):
        answer = _THOUSANDS.sub(lambda number: re.sub("[, ]", "", number[0]), answer)
    answer = _TRAILING.sub("", answer.strip())
    return re.sub(r"\s+", " ", answer).strip()


def _as_text(word: re.Match) -> str:
    content = re.sub(r"\\[,;: ]|~", " ", re.sub(r"\^ ?\{ ?(-?\d) ?\}", r"^\1", word[1]))
    return f"\\text{{{content}}}" if is_unit(content) else word[0]
