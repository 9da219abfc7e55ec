r"""The last box of a text, or the first."""

import re

FIRST, LAST = "first", "last"
_BOX = re.compile(r"\\(?:f?boxed|fbox)(?![A-Za-z])[ \t]*\n?[ \t]*")
# What a box without braces may hold: a number or one letter. "I put it in a \boxed as asked" boxes nothing.
_BARE = re.compile(r"(?=[^\s${}\\]*\d|[A-Za-z][.,;:)]*(?=[\s$]|$))[^\s${}\\]+")


def extract(text: str, box: str = LAST) -> str | None:
    r"""The content of the last balanced ``\boxed{…}`` or ``\fbox{…}``, or of a bare ``\boxed 7``.

    None if there is none, or if the last one is empty. A last box that is never closed is passed over for the one before
    it: a truncated answer is judged by what it had finished saying. A box without braces holds a number, or one letter in a
    text without any other box. With ``box`` "first" the same of the first one that is closed. One scan, linear in the text.
    """
    starts = {match.end(): match.start() for match in _BOX.finditer(text)}
    found: list[tuple[int, int]] = []  # where each box lies, those inside others left out
    letter: tuple[int, int] | None = None  # the last letter boxed without braces
    open_braces: list[int] = []
    place, length = 0, len(text)
    while place < length:
        if place in starts and text[place] != "{":
            bare = _BARE.match(text, place)
            # A space has to part the command from what it boxes; and "\boxed\frac…" is not a bare word.
            if bare and text[place - 1].isspace():
                if any(map(str.isdecimal, bare[0])):
                    found.append(bare.span())
                else:
                    letter = bare.span()
        character = text[place]
        if character == "\\":
            # An escaped brace, or the start of a command: nothing to count, but a box may begin after it.
            place = place + 2 if place + 2 not in starts or text[place + 1 : place + 2] in "{}" else place + 1
            continue
        if character == "{":
            open_braces.append(place)
        elif character == "}" and open_braces:
            start = open_braces.pop()
            if start in starts:
                # One inside another belongs to the outer one, which closes after it.
                while found and found[-1][0] > start:
                    found.pop()
                found.append((start + 1, place))
        place += 1
    if not found:
        found = [letter] if letter else [(0, 0)]
    begin, end = found[0 if box == FIRST else -1]
    content = text[begin:end]
    # Only a box without braces can bring along the stop of its sentence.
    return (content if text[begin - 1 : begin] == "{" else content.rstrip(".,;")).strip() or None
