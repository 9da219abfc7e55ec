"""What names an answer without stating it: lists of the options, quotations, "no reason", "yes and no".

Lists are left out when they name all of two answers, or at least three: in one line, in lines with bullets or numbers, in tables;
in brackets two are enough.
"""

import bisect
import re

from evaluators.mentions import Forms, Mention

_QUOTED = re.compile(
    r"“([^”\n]{1,400})”|\"([^\"\n]{1,400})\"|「([^」\n]{1,400})」|『([^』\n]{1,400})』|«([^»\n]{1,400})»|„([^“”\n]{1,400})[“”]"
)
_BRACKETED = re.compile(r"\[[^\[\]\n]{0,600}\]|\([^()\n]{0,600}\)|\{[^{}\n]{0,600}\}")
# What stands between two options of a list, with the mark of the second: "A) yes B) no", "0 = negative, 1 = positive".
_Q = r"[\"'“”「」]{0,3}"
_BETWEEN = re.compile(
    rf"{_Q}\)?\s*(?:(?:,|/|、|\||;|·|•|\bor\b|\band\b|\bvs\b\.?|\bversus\b|或者?|和|还是|還是|oder|und|ou|et)\s*(?:(?:or"
    rf"|and)\b\s*)?|(?=\(?\w[).] ))"
    rf"(?:\(?\w{{1,2}}[).:=] ?|\w ?= ?)?(?:(?<=or )an? )?{_Q}"
)
# Before two answers, these say that neither is stated by itself; before one, that a list ends with it.
_CHOICE = re.compile(
    r"\b(?:either|whether|between|both|(?:mix|mixture|blend|combination) of(?: both)?)(?: the| an?)? ?[\"'“]?$"
)
_EITHER = re.compile(r"\b(?:either|whether)\b[^.;:\n]{0,80}\bor (?:an? )?[\"'“]?$")
_HEADED = re.compile(
    r"\s*(?:the )?(?:options|choices|labels|classes|categories|possible answers|answer choices)\b[^\n]{0,40}:\s*"
)
_MARKER = re.compile(r"[ \t]*(?:[-•·+>|—–]|\(?(?:\d{1,2}|[a-z])[.):]|[①-⑳])[ \t|\"'“(]*")
_RULE = re.compile(r"[ \t|:+-]*")
_AFTER_OPTION = re.compile(r"[\"'”)]{0,3} ?(?:[:|=—–,;.(]|-|$)")
_KEY = re.compile(r"\{\s*[\"']([\w -]{1,40})[\"']\s*:")  # of an object, which states what it holds
_UNTICKED = re.compile(r"(?m)^[ \t]*(?:[-+•] ?)?(?:\[ ?\]|☐|□)[^\n]*$")
_Y, _N = r"\byes\b", r"\bno\b"
_SEPARATES = rf"{_Q}\s*(?:or|/|and|\||vs\.?)\s*{_Q}"
_BOTH = re.compile(rf"{_Q}(?:{_Y}{_SEPARATES}{_N}|{_N}{_SEPARATES}{_Y}){_Q}")
# "no reason", "no one", "no. 1": a determiner or a number, not an answer. An answer ends its clause, or a subject follows.
_DETERMINER = re.compile(
    r"\bno(?=[ \t]+[a-z])(?![ \t]+(?:because|since|as|but|so|for|and|they|he|she|it|the|i|we|you|this|that|these|there"
    r"|unless|if|although|though)\b)"
    r"|\bno[- ]one\b|\byes[- ]m[ae]n\b|\bno\.? ?(?=\d)|\bnos?\. ?(?=\d)|\b(?:yes|no)[- ](?:questions?|votes?|sayers?)\b"
)


def without_both(text: str, forms: Forms) -> str:
    """ "Yes and no", "Yes/No" blanked, where Yes and No are answers."""
    if not {"yes", "no"} <= forms.names.keys():
        return text
    return _BOTH.sub(_spaces, text)


def answers(text: str, forms: Forms) -> list[Mention]:
    """The mentions but for the "no" of "no reason", where Yes and No are answers; the text keeps it, for it may negate another."""
    found = forms.mentions(text)
    if not {"yes", "no"} <= forms.names.keys():
        return found
    determiners = {place for match in _DETERMINER.finditer(text) for place in range(*match.span())}
    return [mention for mention in found if mention.start not in determiners]


def without_quotations(text: str, forms: Forms) -> str:
    """Quoted passages blanked, but for a quoted answer ("sad"), and the options that are not ticked."""

    def blank(match: re.Match) -> str:
        inside = next(group for group in match.groups() if group is not None)
        key = inside.isidentifier() and text[match.end() : match.end() + 2].lstrip().startswith(":")  # of an object
        return match[0] if key or inside.strip(" .,!。，") in forms.names else _spaces(match)

    return _UNTICKED.sub(_spaces, _QUOTED.sub(blank, text))


def _spaces(match: re.Match) -> str:
    return " " * len(match[0])


def without_lists(text: str, found: list[Mention], forms: Forms) -> tuple[str, list[Mention]]:
    """``text`` with lists of options blanked, and the mentions outside them."""
    starts = [mention.start for mention in found]
    enough = min(3, forms.count)
    spans = [
        match.span()
        for match in _BRACKETED.finditer(text)
        if _names(found, starts, *match.span()) > 1
        and not ((key := _KEY.match(match[0])) and key[1] not in forms.names)
    ]
    spans += _enumerated(text, found, forms) + _runs(text, found, enough) + _lines(text, found, starts, enough)
    if not spans:
        return text, _decided(text, found)
    merged: list[list[int]] = []
    pieces: list[str] = []
    place = 0
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([begin, end])
    for begin, end in merged:
        pieces += [text[place:begin], re.sub(r"[^\n]", " ", text[begin:end])]
        place = end
    begins = [begin for begin, _ in merged]

    def outside(mention: Mention) -> bool:
        place = bisect.bisect_right(begins, mention.start) - 1
        return place < 0 or mention.start >= merged[place][1]

    return "".join([*pieces, text[place:]]), _decided(text, [mention for mention in found if outside(mention)])


def _decided(text: str, found: list[Mention]) -> list[Mention]:
    """The mentions that do not end a choice of other words: "either sadness or doubtful"."""
    return [mention for mention in found if not _EITHER.search(text[max(0, mention.start - 100) : mention.start])]


def _names(found: list[Mention], starts: list[int], begin: int, end: int) -> int:
    inside = found[bisect.bisect_left(starts, begin) : bisect.bisect_left(starts, end)]
    return len({mention.name for mention in inside})


def _runs(text: str, found: list[Mention], enough: int) -> list[tuple[int, int]]:
    """Options one after the other with no more than a comma, an "or" or a mark between them."""
    spans, run, needed = [], found[:1], max(2, enough)
    for mention in [*found[1:], None]:
        if mention:
            gap = text[run[-1].end : mention.start]
            if len(gap) <= 24 and "\n\n" not in gap and _BETWEEN.fullmatch(gap):
                run.append(mention)
                # "Not positive; negative" is not a list, however few the options are.
                needed = 3 if ";" in gap else needed
                continue
        if len(run) > 1 and _CHOICE.search(text[max(0, run[0].start - 30) : run[0].start]):
            needed = 2
        if len({each.name for each in run}) >= needed:
            spans.append((run[0].start, run[-1].end))
        if mention:
            run, needed = [mention], max(2, enough)
    return spans


def _enumerated(text: str, found: list[Mention], forms: Forms) -> list[tuple[int, int]]:
    """All options by their letters, in order, each with its meaning: "(A) a lens (B) a prism (C) a mirror"."""
    order = sorted(set(forms.names.values()))
    if len(order) < 2 or len(forms.letters) != len(order):
        return []
    spans = []
    for place in range(len(found) - len(order) + 1):
        run = found[place : place + len(order)]
        if [mention.name for mention in run] == order and all(
            re.match(r"[).:] ?\S", text[mention.end : mention.end + 3]) for mention in run
        ):
            spans.append((run[0].start, run[-1].end))
    return spans


def _lines(text: str, found: list[Mention], starts: list[int], enough: int) -> list[tuple[int, int]]:
    """Neighbouring lines that each begin with an option: with bullets, numbers or letters, in a table, or after "Options:"."""
    spans: list[tuple[int, int]] = []
    block: tuple[int, int] | None = None
    names: set[str] = set()
    headed, begin = False, 0
    for line in [*text.split("\n"), None]:
        mention = None if line is None else _option(text, line, begin, found, starts, headed)
        if mention and block and text[block[1] : begin].count("\n") > 1 and (not mention[1] or mention[0] in names):
            # A paragraph of its own, which answers or begins another list.
            if len(names) >= max(2, enough):
                spans.append(block)
            block, names, headed = None, set(), False
            mention = mention if mention[1] else None
        if mention:
            block = (block[0] if block else begin, begin + len(line or ""))
            names.add(mention[0])
        elif line is None or not _RULE.fullmatch(line):
            if block and len(names) >= max(2, enough):
                spans.append(block)
            block, names = None, set()
            headed = line is not None and bool(_HEADED.fullmatch(line))
        begin += len(line or "") + 1
    return spans


def _option(
    text: str, line: str, begin: int, found: list[Mention], starts: list[int], headed: bool
) -> tuple[str, bool] | None:
    """The option that a line lists, and whether with a marker; or None."""
    place = bisect.bisect_left(starts, begin)
    if place == len(found) or found[place].start >= begin + len(line):
        return None
    first = found[place]
    marker = _MARKER.match(line)
    marked = marker and begin + marker.end() == first.start
    bare = not line[: first.start - begin].strip(" (\"'“*")
    # Without a marker, an option is what a colon or a bracket follows ("A) lens", "Yes: …"), or stands under "Options:".
    after = text[first.end : begin + len(line)]
    if marked and _AFTER_OPTION.match(after):
        return first.name, True
    if bare and (re.match(r"[).:]", after) or (headed and not after.strip(" \"'”).,;"))):
        return first.name, False
    return None
