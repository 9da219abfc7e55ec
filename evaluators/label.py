"""The label an answer states.

Example::

    >>> grade("He smiles, but the main emotion is **sad**, not angry.", "sad", labels=["sad", "angry"]).status
    'correct'

A list of labels echoed from the prompt, a label in a quotation and a negated one are not answers (``stated.py``).
"""

import re
import time
import unicodedata
from collections.abc import Mapping, Sequence

from evaluators.stated import stated
from evaluators.verdict import Verdict, too_long

_IS = r"(?:is|would be|should be|must be|seems to be|appears to be)"
# "The main reason is …" announces no label.
_ASIDE = (
    "reason|point|problem|character|idea|theme|plot|message|argument|issue|cause|weakness|strength|criticism|complaint|flaw|"
    "actor|drawback|claim|question|word|part|scene|difference|evidence"
)
CUES = re.compile(
    rf"\b(?:(?:final |correct |best |my |predicted )?(?:answer|choice|label|classification|conclusion|category|verdict"
    rf"|prediction|rating|score)"
    rf"[\"']?\s*(?:{_IS}|:|=|-)"
    r"|(?:main|overall|primary|dominant|strongest|prevailing|underlying|central|key|general)\b"
    rf"(?![^.\n:]{{0,30}}\b(?:{_ASIDE})s?\b)[^.\n:]{{0,60}}?"
    r"(?:\bis\b|\bwould be\b|\bseems to be\b|\bappears to be\b|:)"
    r"|\bi(?:'d| would|'ll| will)? (?:rate|give|score|rank) (?:it|this|the \w+(?: \w+)?)"
    r"|(?:i )?(?:would )?(?:choose|pick|select|classify (?:it|this|the \w+) as|(?:label|categori[sz]e) (?:it|this) as)\b:?"
    r"|best (?:described|captured|summari[sz]ed) (?:as|by)"
    r"|can be (?:classified|described|labell?ed|considered) as"
    r"|(?:strongest|best|most fitting) (?:one|option)\s*(?:is|:))"
    r"|(?:答案|情緒|情绪|心情|語氣|语气|語調|语调|感情|選擇|选择|結論|结论|标签|標籤)\s*(?:應該|应该)?(?:是|為|为|[::])"
)
TOPICS = re.compile(
    r"\b(?<!rest of the )(?<!part of the )(?<!parts of the )(?<!half of the )(?<!end of the )(?<!secondary )(?<!other )"
    r"(?<!weaker )(?:emotion|mood|sentiment|tone|feeling|statement|review|class|result|output)"
    r"[\"']?\s*(?:expressed\s*)?(?:in [^.\n:]{0,40}?)?(?:is|:|=)"
)

# What is compared with every place of an answer: so much keeps a comparison of the worst text within a second.
MOST_FORMS, MOST_CHARACTERS = 1_000, 20_000


def too_many(labels: Sequence[str], synonyms: Mapping[str, str] | None = None) -> str | None:
    """Why these labels cannot be told apart in bounded time, or None."""
    forms = [*labels, *(synonyms or {})]
    characters = sum(len(unicodedata.normalize("NFKC", form).casefold()) for form in forms[:MOST_FORMS])
    if len(forms) <= MOST_FORMS and characters <= MOST_CHARACTERS:
        return None
    return (
        f"{len(forms):,} labels and synonyms are too many or too long; at most {MOST_FORMS:,} with {MOST_CHARACTERS:,} "
        "characters together can be looked for in an answer"
    )


def grade(
    text: str, gold: str, *, labels: Sequence[str], synonyms: Mapping[str, str] | None = None, strict: bool = False
) -> Verdict:
    """Compare the stated label with ``gold``.

    Args:
        text: the model's answer.
        gold: one of ``labels``.
        labels: the classes.
        synonyms: other surface forms → label; only those that a task lists count.
        strict: the text must be, or end with, the label.
    """
    if long := too_long(text):
        return long
    started = time.perf_counter()
    forms = {name: name for name in labels} | dict(synonyms or {})
    found = stated(text, forms, CUES, strict, TOPICS)
    status = "no_answer" if found is None else "correct" if found.strip() == gold.strip() else "wrong"
    reason = "no label stated" if found is None else "the label at the end" if strict else "the label stated"
    return Verdict(status, found, reason, time.perf_counter() - started)
