r"""Unicode characters spelt as LaTeX writes them.

Unicode's own folding (NFKC) makes ``2⁴`` 24, ``①③`` 13 and ``ℝ`` a letter R. So each character is taken apart here, and what
stands high, low, in a circle or over a bar keeps its meaning; only what is left is folded.
"""

import re
import unicodedata
from functools import lru_cache

_SIGNS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "‒": "-", "―": "-", "﹣": "-", "➖": "-", "➕": "+",
    "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "•": r"\cdot ", "∙": r"\cdot ", "✕": r"\times ", "÷": r"\div ",
    "∗": "*", "⁄": "/", "∕": "/", "π": r"\pi ", "∞": r"\infty ", "√": r"\sqrt ", "∪": r"\cup ", "∩": r"\cap ",
    "∈": r"\in ", "±": r"\pm ", "∖": r"\setminus ", "∓": r"\mp ", "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ",
    "⩾": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "≅": r"\cong ", "≡": r"\equiv ", "∼": r"\sim ", "→": r"\to ",
    "⟶": r"\to ", "⇒": r"\implies ", "∴": r"\therefore ", "°": r"^\circ ", "º": r"^\circ ", "˚": r"^\circ ", "′": "'",
    "’": "'", "⟨": r"\langle ", "⟩": r"\rangle ", "∅": r"\emptyset ", "⌀": r"\emptyset ", "∛": r"\sqrt[3]",
    "∜": r"\sqrt[4]", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "∣": r"\mid ",
    "ℝ": r"\mathbb{R}", "ℂ": r"\mathbb{C}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "ℓ": r"\ell ",
    "ℏ": r"\hbar ", "∶": ":", "、": ",", "。": ".", "｛": r"\{", "｝": r"\}", "＄": r"\$", "ⅈ": "i", "ⅇ": "e",
    "∠": r"\angle ", "∧": r"\land ", "∨": r"\lor ",
    "\u2062": r"\cdot ", "\u2063": ",", "\u2064": "+",  # the invisible times, comma and plus (as in a mixed number)
}  # fmt: skip
_GREEK = {
    "αάϐ": "alpha", "βϐ": "beta", "γ": "gamma", "δ": "delta", "εϵ": "epsilon", "ζ": "zeta", "η": "eta", "θϑ": "theta",
    "ι": "iota", "κϰ": "kappa", "λ": "lambda", "μµ": "mu", "ν": "nu", "ξ": "xi", "ρϱ": "rho", "σς": "sigma",
    "τ": "tau", "φϕ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ∆": "Delta", "Θ": "Theta",
    "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi", "ΩΩ": "Omega",
}  # fmt: skip
_SIGNS |= {letter: f"\\{name} " for letters, name in _GREEK.items() for letter in letters}
# Marks around one character, as :func:`_parts` leaves them: private to this module, taken from no text.
_HIGH, _LOW, _CIRCLE = "\ue000", "\ue001", "\ue002"
_TAGS = {"<super>": _HIGH, "<sub>": _LOW, "<circle>": _CIRCLE}
_MARKED = re.compile(f"{_HIGH}(.)|{_LOW}(.)|{_CIRCLE}([0-9A-Za-z]+){_CIRCLE}")
# ¹⁄₂ is a fraction, however it is set.
_HIGH_OVER_LOW = re.compile(f"((?:{_HIGH}\\d)+)/((?:{_LOW}\\d)+)")
_HIGH_RUN, _LOW_RUN = re.compile(f"(?:{_HIGH}.)+"), re.compile(f"(?:{_LOW}.)+")
_CIRCLES = re.compile(f"(?<!\\d)(?:{_CIRCLE}[0-9A-Za-z]+{_CIRCLE}[\\s,]*)+(?!\\d)")
_BARRED, _DOTTED = re.compile("(?:\\d[\u0304\u0305])+"), re.compile("(\\d)\u0307")


def spelt(text: str) -> str:
    """The text with every character of its own kind spelt out; plain ASCII is returned as it is."""
    if text.isascii():
        return text
    text = _BARRED.sub(lambda run: f"\\overline{{{run[0][::2]}}}", text)
    text = _DOTTED.sub(r"\\dot{\1}", text)
    text = "".join(map(_spelling, text))
    text = _HIGH_OVER_LOW.sub(lambda part: f"\\frac{{{_bare(part[1])}}}{{{_bare(part[2])}}}", text)
    text = _HIGH_RUN.sub(lambda run: _script("^", _bare(run[0])), text)
    text = _LOW_RUN.sub(lambda run: _script("_", _bare(run[0])), text)
    # ①③ names two statements, and is not 13.
    text = _CIRCLES.sub(lambda run: ",".join(re.findall(f"{_CIRCLE}([0-9A-Za-z]+){_CIRCLE}", run[0])), text)
    return unicodedata.normalize("NFC", text)


def _bare(run: str) -> str:
    return _MARKED.sub(lambda mark: mark[1] or mark[2], run)


def _script(sign: str, content: str) -> str:
    # No braces round one high character: \text{cm²} is read as a unit, which knows none.
    return sign + (content if len(content) == 1 and sign == "^" else f"{{{content}}}")


@lru_cache(4096)
def _spelling(character: str) -> str:
    if character.isascii():
        return character
    if character in _SIGNS:
        return _SIGNS[character]
    kind = unicodedata.category(character)
    # What is not seen says nothing; only the overrides of direction (U+202D, U+202E) change what is read.
    if (kind == "Cf" and character not in "\u202d\u202e") or "\ufe00" <= character <= "\ufe0f":
        return ""
    if _HIGH <= character <= _CIRCLE:
        return ""
    tag, _, codes = unicodedata.decomposition(character).partition(" ")
    if not tag.startswith("<"):
        return unicodedata.normalize("NFC", character)
    parts = [_spelling(chr(int(code, 16))) for code in codes.split()]
    inside = "".join(parts)
    if tag == "<fraction>":
        top, _, bottom = inside.partition("/")
        return f"\\frac{{{top}}}{{{bottom}}}" if bottom else inside
    if tag == "<circle>":
        return f"{_CIRCLE}{inside}{_CIRCLE}" if inside.isascii() and inside.isalnum() else inside
    if tag in _TAGS and len(inside) == 1:
        return _TAGS[tag] + inside
    return inside
