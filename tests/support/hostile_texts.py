r"""Hostile answers: a table of known attacks, and a generator of new ones from a grammar, mutation and what reached new lines.

Every text asks for something: to be run, to take for ever, to fill the memory, or to be read as what it is not.
"""

import random

CANARY = "embedgrad-was-here"
_RUN = f"__import__('os').system('touch {CANARY}')"
LABELS = ("sad", "happy", "angry", "calm")

INJECTION = {
    "os.system": _RUN,
    "eval": f'eval("{_RUN}")',
    "lambda": f"(lambda: {_RUN})()",
    "attributes": "().__class__.__bases__[0].__subclasses__()[104].load_module('os')",
    "format": "{0.__class__.__init__.__globals__}",
    "comprehension": f"[{_RUN} for _ in (1,)]",
    "open": f"open('{CANARY}', 'w').write('x')",
    "sympy Function": f"Function('f')({_RUN})",
    "sympify": f"sympify('{_RUN}')",
    "walrus": f"(x := {_RUN})",
    "decorator": f"@{_RUN}\ndef f(): pass",
    "pickle": "cos\nsystem\n(S'touch embedgrad-was-here'\ntR.",
    "yaml": f"!!python/object/apply:os.system ['touch {CANARY}']",
    "shell": f"$(touch {CANARY})`touch {CANARY}`; touch {CANARY} | touch {CANARY}",
    "write18": f"\\write18{{touch {CANARY}}}\\input{{|touch {CANARY}}}",
    "definition": "\\def\\a{\\a\\a}\\a",
    "f-string": f"{{{_RUN}}}",
    "jinja": f"{{{{ cycler.__init__.__globals__.os.popen('touch {CANARY}') }}}}",
}
NUMBERS = {
    "tower": "9^9^9^9",
    "braced tower": "9^{9^{9^{9}}}",
    "ten": "10^{10^{10}}",
    "tiny": "10^{-10^{10}}",
    "factorial": "99999!",
    "factorials": "3!!!!!!!!",
    "factorial tower": "(9^{9})!^{9!}",
    "exp": "\\exp(\\exp(\\exp(100)))",
    "exponent": "1e999999999",
    "minus exponent": "1e-9999",
    "float": "1.2345678901234e-999",
    "binomial": "\\binom{10^{9}}{10^{8}}",
    "cube root": "\\sqrt[3]{9^{39999}+1}",
    "64th root": "\\sqrt[64]{9^{39999}+1}",
    "root index": "\\sqrt[10^{9}]{2}",
    "angle": "\\sin(" + "e^{99999}\\cdot " * 50 + "1)",
    "fractions": "+".join(f"7^{{-{9999 + n}}}" for n in range(150)),
    "roots": "+".join(f"\\sqrt[3]{{9^{{{39000 + n}}}}}" for n in range(90)),
    "logarithm of nothing": "\\ln 0 - \\ln 0",
    "nothing to nothing": "0^0",
    "no number": "\\frac{\\infty}{\\infty}",
    "digits": "7" * 1_900,
    "decimals": "0." + "3" * 1_900,
    "period": "0.\\overline{" + "142857" * 300 + "}",
    "base": "(" + "1" * 1_500 + ")_{" + "9" * 200 + "}",
    "thousands": "1" + ",000" * 480,
}
NESTED = {
    "braces": "{" * 900 + "1" + "}" * 900,
    "parentheses": "(" * 900 + "1" + ")" * 900,
    "open": "(" * 1_900,
    "fractions in fractions": "\\frac{1}{1+" * 160 + "1" + "}" * 160,
    "short fractions": "\\frac" * 390 + "1",
    "roots in roots": "\\sqrt{" * 230 + "2" + "}" * 230,
    "scripts": "x" + "^x" * 900,
    "signs": "-" * 1_900 + "1",
    "bars": "|" * 1_500 + "x" + "|" * 400,
    "units": "5" + "\\text{cm}" * 200,
    "plus-minus": "\\pm" * 600 + "1",
    "relations": "=".join("1" * 950),
    "relations in brackets": "(" * 50 + "1=" * 800 + "1" + ")" * 50,
    "sets of sets": "\\{1,\\{2," * 50 + "3" + "\\}\\}" * 50,
    "matrices": "\\begin{pmatrix}" * 60 + "1" + "\\end{pmatrix}" * 60,
}
LARGE = {
    "matrix": "\\begin{pmatrix}" + "\\\\".join(["1&" * 20 + "1"] * 45) + "\\end{pmatrix}",
    "set": "\\{" + ",".join(map(str, range(400))) + "\\}",
    "set of roots": "\\{" + ",".join(f"\\sqrt{{{n}}}" for n in range(180)) + "\\}",
    "set of names": ",".join(f"x_{n}" for n in range(380)),
    "union": "\\cup".join(f"({n},{n + 1})" for n in range(140)),
    "words": "a and " * 320,
    "powers": "(x+1)^{" + "9" * 5 + "}",
    "product": "(x+1)" * 380,
}
CHARACTERS = {
    "NUL": "1\x002\x00",
    "lone surrogate": "\ud8001",
    "surrogates": "\udfff\ud800" * 300,
    "bidi": "\u202e12\u202c\u2066 34\u2069",
    "zero width": "1\u200b2\u200d3\ufeff",
    "fullwidth": "１２．５＋３",
    "Arabic digits": "\u0661\u0662\u0663",
    "other digits": "\U0001d7d9\U0001d7da \u0be7 \u2460 \u00b2",
    "minus signs": "−5–3—2﹣1－4",
    "ligatures": "\ufdfa" * 1_900,
    "vulgar fractions": "½⅓⅔¼¾⅕⅛" * 270,
    "combining": "e" + "\u0301" * 1_900,
    "spaces": "1\u00a0\u2003\u3000\u2028\u2029\x85\x0b\x0c2",
    "spaced": "1" + " " * 1_900 + "2",
    "dotless": "İıſß" * 400,
    "escapes": "\x1b[2J\x1b]0;title\x07",
}
# What each regular expression of the evaluators would have to go back over.
BOMBS = {
    "sad, space": "sad," + " " * 19_000,
    "sad or": "sad or " * 2_800,
    "sad, sad": "sad, " * 4_000,
    "think": "<think>" * 2_800,
    "thought": "<think>" * 1_400 + "</think>" * 1_200,
    "quotes": '"' * 20_000,
    "open quotes": "“" * 20_000,
    "brackets": "[" * 20_000,
    "bracket pairs": "[sad, happy" * 1_800,
    "main": "main " * 4_000,
    "cues": "the answer is\n" * 1_400,
    "not": "not " * 4_999 + "sad",
    "no, but": "not but " * 2_400 + "sad",
    "no": "no " * 6_600,
    "yes or": "yes or " * 2_800,
    "yes  or": "yes" + " " * 9_000 + "or" + " " * 9_000 + "yes",
    "answer": "answer " * 2_800,
    "Chinese": "答案應該" * 4_900,
    "emphasis": "*_`#~" * 4_000,
    "text stops": "1" + "\\text{ " * 270,
    "space before a brace": "\\text{" + " " * 1_900,
    "spaces before a text of spaces": "x" + " " * 900 + "\\text{" + " " * 900 + "x",
    "boxes in the box": "\\boxed{" * 250 + "1" + "}" * 250,
    "box, space": "\\boxed" + "\t" * 20_000,
    "currency": " " * 900 + "\\$" + " " * 900 + "\n",
    "hspace": "\\hspace{" * 230,
    "units of units": "1 " + "ab " * 600 + "!",
    "array": "\\begin{array}" * 140 + "\\end{array",
}
IN_A_BOX = INJECTION | NUMBERS | NESTED | LARGE | CHARACTERS | BOMBS
# As whole answers, too long or too deep for any evaluator to read to the end.
HUGE = {
    "10 MB of letters": "x" * 10_000_000,
    "10 MB of labels": "sad, " * 2_000_000,
    "10 MB in a box": "\\boxed{" + "1" * 10_000_000 + "}",
    "100,000 braces": "{" * 100_000,
    "100,000 pairs": "{" * 100_000 + "}" * 100_000,
    "100,000 parentheses": "\\boxed{" + "(" * 100_000 + ")" * 100_000 + "}",
    "100,000 fractions": "\\boxed{" + "\\frac{1}{" * 100_000 + "1" + "}" * 100_001,
    "100,000 roots": "\\boxed{" + "\\sqrt{" * 100_000 + "}" * 100_001,
    "60,000 boxes in boxes": "\\boxed{" * 60_000 + "}" * 60_000,
    "140,000 boxes": "\\boxed " * 140_000,
    "a million no": "no " * 333_000,
}
_COMMANDS = r"""
\frac \sqrt \sqrt[3] \pm \mp \cup \cap \pi \infty \in \le \ge \ne \cdot \times \div \log_ \ln \sin \overline{3} \text{ \boxed{
\fbox{ \mbox{ \left( \right) \{ \} \$ \% \\ \, \! ^\circ \degree \binom \lfloor \rfloor \begin{pmatrix} \end{pmatrix}
\begin{array}{cc} \end{array} e9 99999 0.5 12,345 {,} ^{ _{ }{ )( ](
"""
_WORDS = "sad happy angry calm Yes No yes no not nor isn't never **sad** **No** answer: is 不是 伤心 答案： “ ” 「 」 ’"
PIECES = [
    *"0123456789xyabie+-*/^_!|()[]{}<>=,.;:%&$'\"\\ \n",
    *_COMMANDS.split(),
    *_WORDS.split(),
    *("the answer is ", "main emotion: ", "rather than ", " or ", " and ", "<think>", "</think>", "[sad, happy]", "\n\n"),
    *("\x00", "\ud800", "\u202e", "９", "½", "∞", "−", "\u0661", "\ufdfa", "\u200b", "İ"),
]  # fmt: skip
GOLDS = (
    "42", "-7", "\\frac{3}{4}", "0.5", "x^2+2x+1", "(3, \\frac{\\pi}{2})", "(-\\infty, 3) \\cup (5, \\infty)", "2516_8", "1,-2",
    "\\{1, 2, 3\\}", "3\\sqrt{13}", "90^\\circ", "864 \\mbox{ inches}^2", "\\text{Evelyn}", "x \\in [-2, 7]", "y = 2x + 3",
    "\\begin{pmatrix} -1/3 \\\\ 2/3 \\end{pmatrix}", "6 - 5i", "\\$36", "1 \\pm \\sqrt{19}", "1.25 \\times 10^{4}", "\\text{(C)}",
    "11,\\! 111", "e^{i\\pi/3}", "\\log_2 8", "0.\\overline{142857}", "n \\equiv 3 \\pmod 7", "5\\%", "\\sec^2 x",
)  # fmt: skip


def formula(chance: random.Random, depth: int = 4) -> str:
    """LaTeX from a grammar, well-formed but for what mutation does to it later."""
    if depth <= 0 or chance.random() < 0.15:
        return chance.choice(
            ("0", "1", "2", "7", "13", "0.25", "1e3", "x", "y", "n_1", "\\pi", "e", "i", "\\infty", "\\theta")
        )
    a, b = (formula(chance, depth - chance.randint(1, 3)) for _ in range(2))
    shapes = (
        f"{a}+{b}", f"{a}-{b}", f"{a}{b}", f"{a} \\cdot {b}", f"-{a}", f"({a})", f"\\left({a}\\right)", f"\\frac{{{a}}}{{{b}}}",
        f"{a}/{b}", f"\\sqrt{{{a}}}", f"\\sqrt[{b}]{{{a}}}", f"{{{a}}}^{{{b}}}", f"|{a}|", f"{a}!", f"\\sin({a})", f"\\ln {a}",
        f"\\log_{{{b}}} {a}", f"\\binom{{{a}}}{{{b}}}", f"\\lfloor {a} \\rfloor", f"({a}, {b})", f"[{a}, {b})", f"\\{{{a}, {b}\\}}",
        f"{a}, {b}", f"{a} = {b}", f"{a} \\le x < {b}", f"x \\in ({a}, {b})", f"({a}, {b}) \\cup ({b}, {a})", f"{a} \\pm {b}",
        f"{a} \\text{{ or }} {b}", f"{a}\\text{{ cm}}^2", f"{a}^\\circ", f"{a}\\%", f"\\$ {a}", f"{a} < {b} < {a}", f"{a}_{{8}}",
        f"\\begin{{pmatrix}} {a} & {b} \\\\ {b} & {a} \\end{{pmatrix}}", f"\\text{{{a}}}", f"\\dfrac{a}{b}", f"\\tan^{b}({a})",
    )  # fmt: skip
    return chance.choice(shapes)


def mutated(chance: random.Random, text: str, other: str) -> str:
    """``text`` after one to four changes: a piece put in, taken out, doubled, repeated often, or crossed with ``other``."""
    for _ in range(chance.randint(1, 4)):
        place = chance.randint(0, len(text))
        end = min(len(text), place + chance.randint(1, 12))
        kind = chance.random()
        if kind < 0.4:
            text = text[:place] + chance.choice(PIECES) + text[place:]
        elif kind < 0.6:
            text = text[:place] + text[end:]
        elif kind < 0.75:
            text = text[:end] + text[place:end] + text[end:]
        elif kind < 0.98:
            text = text[:place] + other[chance.randint(0, len(other)) :]
        else:
            text = text[:place] + text[place:end] * chance.choice((10, 60, 400)) + text[end:]
    return text[:25_000]


def pieces(chance: random.Random) -> str:
    """Pieces in any order."""
    return "".join(chance.choices(PIECES, k=chance.randint(0, 40)))
