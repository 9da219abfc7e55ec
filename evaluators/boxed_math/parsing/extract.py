r"""The last box of a text."""

import re

_BOX = re.compile(r"\\(?:f?boxed|fbox)(?![A-Za-z])[ \t]*\n?[ \t]*")
# What a box without braces may hold: a number or one letter. "I put it in a \boxed as asked" boxes nothing.
_BARE = re.compile(r"(?=[^\s${}\\]*\d|[A-Za-z][.,;:)]*(?=[\s$]|$))[^\s${}\\]+")


def extract(text: str) -> str | None:
    r"""The content of the last balanced ``\boxed{…}`` or ``\fbox{…}``, or of a bare ``\boxed 7``.

    None if there is none, or if the last one is empty. A last box that is never closed is passed over for the one before
    it: a truncated answer is judged by what it had finished saying. A box without braces holds a number, or one letter in a
    text without any other box. One scan, linear in the text.
    """
    starts = {match.end(): match.start() for match in _BOX.finditer(text)}
    found, best = (0, 0), -1  # where the box found so far lies, and where it ends or begins
    letter: tuple[int, int] | None = None  # the last letter boxed without braces
    open_braces: list[int] = []
    place, length = 0, len(text)
    while place < length:
        if place in starts and text[place] != "{":
            bare = _BARE.match(text, place)
            # A space has to part the command from what it boxes; and "\boxed\frac…" is not a bare word.
            if bare and text[place - 1].isspace():
                if any(map(str.isdecimal, bare[0])):
                    found, best = bare.span(), place
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
            # The box that begins last wins; one inside another belongs to the outer one, which closes after it.
            if start in starts and (start > best or place > best):
                found, best = (start + 1, place), place
        place += 1
    if best < 0 and letter:
        found = letter
    content = text[slice(*found)]
    # Only a box without braces can bring along the stop of its sentence.
    return (content if text[found[0] - 1 : found[0]] == "{" else content.rstrip(".,;")).strip() or None
