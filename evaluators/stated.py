"""The answer a text states, out of a few known ones: what labels and Yes/No have in common.

No statements at all: thinking, lists of the options, quotations, negated mentions (``reading.py``, ``echoes.py``, ``negation.py``).
Among the mentions that are left, the ORDER OF EVIDENCE is:

1. an explicit final statement: the answer after a cue ("the answer is", "main emotion:", 答案是, a tag, a box, a key), called the
   answer ("B is correct"), or alone as the text's last paragraph; of several the last;
2. an answer that stands as a sentence of its own at an end of the text: its heading ("Negative" and a line break), or else its last
   sentence, or else the sentence or clause that opens it ("Negative. There is nothing …", "Yes, he did …"), unless the text takes
   it back ("sad, but mostly angry");
3. a sentence that says what is asked about has the answer ("the review is positive"); of several the last;
4. the last mention;
5. what is only asked, supposed, granted or other people's ("positive?", "the answer is yes if …", "although positive", "many
   would say yes"): the last.

What was found by 1 or 2 and is taken back ("Wait, …", "; no, sad") gives way to the last mention after that.
"""

import bisect
import re
from collections.abc import Mapping

from evaluators import echoes
from evaluators.mentions import Forms, Mention, forms_of, without_scales, without_words_of_one_letter
from evaluators.negation import negated
from evaluators.reading import plain, tail

_SENTENCE_END = re.compile(r"[.!?。！？](?=\s|$|[\"'”’)])|[。！？\n]")
_LONGEST_SENTENCE = 400
_FIRST, _LAST = 20, 400  # mentions that are weighed; between them none opens or closes a text
_STRICT_END = " \t\r\n.!\"'”’。！)}]」』$\\"

_ASKED = re.compile(r"[\"'”’)]{0,2} ?\?")
_SUPPOSED = re.compile(r"[\"'”’)]{0,2},? (?:only )?(?:if|unless|provided|assuming)\b")
_HEARSAY = re.compile(
    r"\b(?:many|some|others?|someone|somebody|critics|few|one|you)(?: (?:people|viewers|readers|critics|persons?|might"
    r"|may|could|would|will|can))*"
    r" (?:say|think|argue|call|claim|answer|believe|consider|see|read|object|says|think(?:s)?)\b[^.!?\n]{0,30}$"
)
# What is granted, or said to be less than something else, is not what the text states.
_GRANTED = re.compile(
    r"(?:\b(?:although|even though|even if|though|despite|in spite of|albeit|obwohl|obgleich|bien que|malgré|aunque)\b|虽然"
    r"|雖然|尽管|儘管)"
    r"[^,.;:!?\n]{0,60}$|\b(?:not|\w+n't) (?:only|just|merely|simply|solely)(?: \w+){0,2} $|不[仅僅但只光止][^,。;]{0,6}$"
    r"|\bnicht nur (?:\w+ )?$|\bpas (?:seulement|que) (?:\w+ )?$|\bno (?:solo|sólo|solamente) (?:\w+ )?$"
    r"|\bif\b[^.!?\n]{0,60}\b(?:had|were)\b[^.!?\n]{0,40}\b(?:would|might|could) (?:\w+ ){0,3}$"
    r"|\b(?:more|rather)(?: [^\s.,;]+){0,4} than (?:\w+ )?$|\bless (?:\w+ )?$"
)
_IF = re.compile(r"\b(?:if|whether|suppose|supposing|assuming|unless) (?:the |its |his |her |your |my )?$")

_FILLER = re.compile(
    r"[\s\-•*>#(\[{\"'“”「『«:|]*(?:(?:sure|ok|okay|well|certainly|of course|yes sir|absolutely)[,.!:]\s*)?(?:(?:mostly"
    r"|very|clearly|definitely|strongly|generally|predominantly|largely|overall|primarily|mainly),? )?(?:(?:\d{1,2}"
    r"|[a-z])[.)]\s+)?[\s(\[{\"'“「『«]*"
)
# A short heading: "Prediction:", "My reading:"; not one that begins an analysis.
_HEAD = re.compile(
    r"(?!.*\b(?:step|first|aspects?|points?|pros?|cons?|words?|thinking|process|options?|reasons?|choices|labels|possible"
    r"|secondary|other)\b)"
    r"[^\n.!?;:,]{1,40}:\s*[\"'“(\[]*"
)
_CLAUSE_ENDS = re.compile(
    r"[\"'”’」』»)\]}]{0,3}(?:[)\]}]| ?(?:sentiment|review|tone|mood|emotion|statement|text|comment|overall|stars?"
    r"|points?)\b)? ?"
    r"(?:$|\n|[.!;:(\[—–]|(?<=[)\]}]) |with(?:out)?\b|,(?!\d)|- |-- ?|because\b|since\b|as\b|although\b|though\b"
    r"|even though\b|while\b|despite\b|and the\b|overall\b)"
)
# After ", but" these say that what follows weighs more.
_OUTWEIGHED = re.compile(
    r"[\"'”’)]{0,2},? (?:but|yet|and|or|then|no\b,?|maybe|perhaps|turning|later|nor)(?= (?:also |then |finally )?(?:more"
    r"|most|mostly|mainly|overall|rather|really|actually|ultimately|"
    r"finally|in the end|on balance|predominantly|primarily|the (?:answer|main|overall|strongest|dominant)|i'd|i would"
    r"|i think|i believe|also)\b)"
)
_TAKEN_BACK = re.compile(
    r"(?:^|[.!?…\n] ?)(?:but )?(?:no,? )?(?:wait|hmm+|actually|on second thoughts?|on reflection|correction|scratch that|sorry|oops"
    r"|let me re\w+|i take (?:that|it) back|i mean|i was wrong|that is wrong|that's wrong)\b|[,;] (?:but )?(?:no,? )?wait\b"
)
_PARAGRAPH = re.compile(
    r"\n *\n[ \-•*>(\[{\"'“]*(?:(?:so|thus|therefore|hence|then|final|所以|因此)[,:]? ?)?[ (\[{\"'“]*\Z"
)
_CHOSEN = re.compile(
    r"[\"'”’)\]]{0,2} (?:is|would be) (?:(?:the|my) (?:(?:final|correct|right|best|most likely|strongest) )?(?:answer"
    r"|choice|option|label)|correct|right)\b"
    r"|[\"'”’)\]]{0,2}(?: (?:sentiment|review|tone|mood|emotion|statement|text))?"
    r" (?:overall|on balance|on the whole|in the end|ultimately)\b"
)
_CORRECTED = re.compile(r"[.,;:!?\n-] ?no,? (?:(?:it is|it's|this is|rather) )?$")  # "happy; no, sad"
_TURNS = re.compile(r"[^\w\n.!?]{0,4}(?:→|->|=>|⇒)")
_LEADS_IN = re.compile(
    r"[\s\-•*>(\[{\"'“「『«]*(?:(?:so|thus|therefore|hence|ergo|then|final|所以|因此)[,:]? ?)?[\s(\[{\"'“「『«]*"
)
_ENDS_TEXT = re.compile(r"[\s.!\"'”’。！)}\]」』»$\\,;]*$")


def stated(
    text: str, forms: Mapping[str, str], cues: re.Pattern, strict: bool = False, topics: re.Pattern | None = None
) -> str | None:
    """The known answer that ``text`` states, or None.

    Args:
        text: what the model wrote.
        forms: surface form → name of the answer.
        cues: phrases that announce an answer.
        strict: the text must be, or end with, the answer.
        topics: phrases that say what is asked about; they weigh less than an answer that opens the text.
    """
    known = forms_of(tuple(forms.items()))
    read = plain(without_words_of_one_letter(tail(text), known.letters), known.names)
    if known.numeric:
        read = without_scales(read)
    read = echoes.without_both(read, known)
    if strict:
        return _at_the_end(read, known)
    read = echoes.without_quotations(read, known)
    read, found = echoes.without_lists(read, echoes.answers(read, known), known)
    if len(found) > _FIRST + _LAST:
        found = found[:_FIRST] + found[-_LAST:]
    found = _affirmed(read, found, known)
    sure = [mention for mention in found if not _unsure(read, mention)]
    opening, closing = _opening(read, sure, found), _closing(read, sure, found)
    heading = opening if opening and read[opening.end : opening.end + 1] in (":", "\n") else None
    alone = closing and not heading and _PARAGRAPH.search(read, max(0, closing.start - 99), closing.start)
    paragraph = closing if alone else None
    best = _explicit(read, sure, paragraph, cues) or heading or closing or opening
    best = best and _standing(read, best, sure)
    best = best or (_behind(read, sure, topics) if topics else None)
    if not best and found:
        best = (sure or found)[-1]
    return best.name if best else None


def _affirmed(text: str, found: list[Mention], known: Forms) -> list[Mention]:
    """The mentions that no negation reaches."""
    kept, no_negates = [], "no" not in known.names
    before: tuple[Mention, bool] | None = None
    for mention in found:
        before = (mention, negated(text, mention, before, no_negates))
        if not before[1]:
            kept.append(mention)
    return kept


def _unsure(text: str, mention: Mention) -> bool:
    """Whether the mention is a question, depends on an "if", or is what others say."""
    if _ASKED.match(text, mention.end) or _SUPPOSED.match(text, mention.end):
        return True
    before = text[max(0, mention.start - 90) : mention.start]
    return bool(_HEARSAY.search(before) or _GRANTED.search(before))


def _explicit(text: str, sure: list[Mention], paragraph: Mention | None, cues: re.Pattern) -> Mention | None:
    """The last explicit statement: after a cue, called the answer, or a last ``paragraph``."""
    chosen = next(
        (each for each in reversed(sure) if _CHOSEN.match(text, each.end) and not _after_if(text, each.start)), None
    )
    statements = [each for each in (_behind(text, sure, cues), chosen, paragraph) if each]
    return max(statements, key=lambda each: each.start, default=None)


def _standing(text: str, best: Mention, sure: list[Mention]) -> Mention:
    """``best``, or the last mention after the place where the text takes it back."""
    # "Actually, there is a positive scene" takes nothing back: the other answer must end its clause.
    others = [
        mention
        for mention in sure
        if mention.name != best.name and mention.start > best.start and _CLAUSE_ENDS.match(text, mention.end)
    ]
    if not others:
        return best
    if _TAKEN_BACK.search(text, best.end, others[-1].start):
        return others[-1]
    corrected = [each for each in others if _CORRECTED.search(text[max(0, each.start - 30) : each.start])]
    return corrected[-1] if corrected else best


def _closing(text: str, sure: list[Mention], found: list[Mention]) -> Mention | None:
    """The answer that is the text's last sentence, and no reply to a question that the text asks."""
    last = found[-1] if found else None
    if last not in sure or not _ENDS_TEXT.match(text, last.end):
        return None
    line = text[max(0, last.start - 80) : last.start]
    ends = [match.end() for match in _SENTENCE_END.finditer(line)]
    if not ends and last.start > 80:
        return None
    place = ends[-1] if ends else 0
    asked = line[:place].rstrip(" \"'”’)").endswith("?")
    return last if not asked and _LEADS_IN.fullmatch(line[place:]) else None


def _after_if(text: str, start: int) -> bool:
    return bool(_IF.search(text[max(0, start - 24) : start]))


def _behind(text: str, sure: list[Mention], cues: re.Pattern) -> Mention | None:
    """The first mention in the sentence of a cue; the last cue that has one counts."""
    starts = [mention.start for mention in sure]
    for cue in reversed(list(cues.finditer(text))):
        if _after_if(text, cue.start()):
            continue
        reach = _sentence_end(text, cue.end() + 1)
        # An answer may stand on the line below its cue.
        if not text[cue.end() : reach].strip(" :-\"'“「("):
            reach = _sentence_end(text, reach + 1)
        first = bisect.bisect_left(starts, cue.end())
        if first < len(sure) and sure[first].end <= reach:
            return sure[first]
    return None


def _opening(text: str, sure: list[Mention], found: list[Mention]) -> Mention | None:
    """The answer that opens the text as a sentence or clause of its own and is not taken back."""
    first = found[0] if found else None
    if first not in sure:
        return None
    before = text[: first.start]
    if before.rstrip().endswith("?"):
        before = ""  # the question said again
    before = " ".join(before.split()) + before[-1:] if before.strip() else ""
    if len(before) > 60 or not (_FILLER.fullmatch(before) or _HEAD.fullmatch(before)):
        return None
    if not _CLAUSE_ENDS.match(text, first.end) or _TURNS.match(text, first.end) or _OUTWEIGHED.match(text, first.end):
        return None
    second = next((mention for mention in sure if mention.name != first.name), None)
    if second and re.fullmatch(r"[\"'”’)]{0,2},? (?:but|no|then|and|or) ", text[first.end : second.start]):
        return None  # "sad, but angry"
    return first


def _sentence_end(text: str, start: int) -> int:
    """Where the sentence that holds ``start`` ends, looked for within a bounded reach."""
    limit = min(len(text), start + _LONGEST_SENTENCE)
    end = _SENTENCE_END.search(text, start, limit)
    return end.start() if end else limit


def _at_the_end(text: str, known: Forms) -> str | None:
    """The answer that ends the text, if it is not negated."""
    found = known.mentions(text)
    if not found or text[found[-1].end :].strip(_STRICT_END):
        return None
    return found[-1].name if found[-1] in _affirmed(text, found[-_LAST:], known) else None
