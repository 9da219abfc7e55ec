"""Stimuli of LAT as its authors make them: pairs of the same content, inside one template that names the concept.

Zou et al. (2023, arXiv:2310.01405, Section 3.1) put every stimulus into a template of the kind "Consider the amount of <concept> in
the following: … The amount of <concept> is" and read the last token, where the model is about to say how much there is. Their
code keeps at most 200 texts a concept, and the chat template's own tokens end a text:
https://github.com/andyzoujm/representation-engineering/blob/5455d8a/examples/primary_emotions/utils.py and its like.

Their texts of two emotions differ in all they tell. Ours come from a small grammar: the two texts of a pair are the same but for
the words that carry the sentiment, which have as many letters on either side, so that neither content nor length can tell the
texts apart. Train and held-out pairs share no such word, no person and no thing.
"""

from collections.abc import Callable
from typing import NamedTuple

from embedgrad_core import Slot
from embedgrad_core.files import UserError
from embedgrad_core.lat import Stimulus

CONCEPT = "positive sentiment"
BEFORE = f"Consider the amount of {CONCEPT} in the following:"
AFTER = f"The amount of {CONCEPT} is"
LEAST_PAIRS, MOST_PAIRS = 4, 200
HELD_OUT = 0.3  # of the pairs
SHAPES = (
    "{person} {verb} {thing} and called it {adjective}.",
    "{thing} was {adjective}, and {person} felt nothing but {noun}.",
    "{person} {verb} {thing}, which filled the whole room with {noun}.",
)


class Words(NamedTuple):
    """The words of a split; of a sentiment word the positive and the negative one, equally long."""

    verb: tuple[str, ...]
    adjective: tuple[str, ...]
    noun: tuple[str, ...]
    person: tuple[str, ...]
    thing: tuple[str, ...]


SENTIMENT = ("verb", "adjective", "noun")
# The numbers of words, and of shapes, have no common divisor: taken in turn, no combination comes twice.
TRAIN = Words(
    verb=("loved/hated", "enjoyed/loathed", "praised/slammed", "applauded/condemned", "relished/resented"),
    adjective=(
        "great/awful", "lovely/dreary", "superb/dismal", "splendid/dreadful", "excellent/miserable", "delightful/disastrous",
        "pleasant/terrible", "brilliant/atrocious", "marvellous/horrendous", "sublime/abysmal", "outstanding/displeasing",
    ),
    noun=("delight/disgust", "pleasure/distress", "relief/regret", "pride/shame", "joy/woe", "hope/fear", "bliss/dread"),
    person=("my sister", "the neighbour", "our teacher", "a friend", "the critic", "her uncle", "the driver", "his boss"),
    thing=(
        "the soup", "the film", "the hotel", "the concert", "the novel", "the lecture", "the garden", "the cake", "the journey",
        "the speech", "the painting", "the new phone", "the interview",
    ),
)  # fmt: skip
HELD_OUT_WORDS = Words(
    verb=("welcomed/rejected", "admired/dreaded", "extolled/deplored", "esteemed/despised"),
    adjective=(
        "wonderful/appalling", "charming/horrible", "fantastic/revolting", "amazing/ghastly", "exquisite/repugnant",
        "terrific/horrific", "magnificent/intolerable",
    ),
    noun=("warmth/hatred", "comfort/despair", "ecstasy/anguish", "cheer/gloom", "elation/torment"),
    person=(
        "my cousin", "the baker", "our pilot", "a tourist", "the editor", "her nephew", "the farmer", "our coach", "the dentist",
        "the mayor", "his aunt", "the plumber", "a singer",
    ),
    thing=(
        "the museum", "the ferry trip", "the sandwich", "the podcast", "the jacket", "the wedding", "the exam", "the beach",
        "the robot", "the recipe", "the parade",
    ),
)  # fmt: skip


def matched_pairs(count: int = MOST_PAIRS) -> list[Stimulus]:
    """Pairs of the same content, positive against negative; three in ten are held out.

    Raises:
        UserError: fewer than 4 pairs or more than 200.
    """
    if not LEAST_PAIRS <= count <= MOST_PAIRS:
        raise UserError(f"{count} pairs of matched content: give {LEAST_PAIRS} to {MOST_PAIRS}.")
    held_out = round(HELD_OUT * count)
    return [
        Stimulus(_text(words, place, 0), _text(words, place, 1), split)
        for split, words, number in (("train", TRAIN, count - held_out), ("held_out", HELD_OUT_WORDS, held_out))
        for place in range(number)
    ]


def _text(words: Words, place: int, side: int) -> str:
    picked = {name: choices[place % len(choices)] for name, choices in words._asdict().items()}
    picked |= {name: picked[name].split("/")[side] for name in SENTIMENT}
    text = SHAPES[place % len(SHAPES)].format(**picked)
    return text[0].upper() + text[1:]


def in_template(slot: Slot) -> Callable[[str], list[int]]:
    """How a text becomes token ids: in the template, in the prompt's own layout.

    The template's first sentence stands where the prompt does, so that the last token is the one before the answer, as it is of
    an item.
    """
    placed = Slot.place(slot.tokenizer, slot.layout, BEFORE)
    return lambda text: placed.text_path_ids(f"{text} {AFTER}")
