"""MEDD: short Traditional-Chinese utterances with one of eight emotions (Johnson8187, 2024).

One item as ``load`` makes it (invented in the style of the set; class "happy"):

    id      medd/00017
    input   太好了！我們明天終於放假了！
    target  happy
    answer  happy

Hub: https://huggingface.co/datasets/Johnson8187/Chinese_Multi-Emotion_Dialogue_Dataset/blob/119d246a1595b44fd2cdccff0d9b288eafee25d1/data.csv
config default, only split train (4,159 rows; no official test split), pinned to that commit. Licence: MIT (hub card).

The data hold Chinese class names only; ``CLASSES`` maps them to the English words of the paper's Table 1 by meaning,
which is our choice. The order of Table 1 is that of a Simplified-Chinese edition's label table, so the authors may have
used that edition; this suite uses the original, unless ``edition`` says ``simplified``. Row i of both is the same utterance,
rewritten by Qwen2.5-32B-Instruct (tone is flattened), under the same class in other words:
https://huggingface.co/datasets/zzhdbw/Simplified_Chinese_Multi-Emotion_Dialogue_Dataset (Apache-2.0).

Traps: seven names end in 語調, the neutral one in 語氣. The hub card lists 恐懼語調 and 驚訝語調, which have no rows.
Rows are not shuffled (rows 0-699 hold no 關切語調): never cut a prefix. Four texts stand twice, with one label each;
normalising full-width signs and white space makes it six, of which one (890 / 3297) carries two labels. Two texts end
in a space, left as they are. No test size up to 5,000 explains the paper's ten MEDD percentages, so halves by label
(2,080 to test) are our choice.
"""

from pathlib import Path

from embedgrad.tasks.loaded import Loaded
from embedgrad.tasks.source import Source, read
from embedgrad.tasks.targets import LABEL, with_targets
from embedgrad_core.files import Item, UserError

EVALUATOR = "label"
LABELS = ("sad", "angry", "concerned", "surprised", "happy", "calm", "disgusted", "doubtful")
CLASSES = {
    "悲傷語調": "sad",
    "憤怒語調": "angry",
    "關切語調": "concerned",
    "驚奇語調": "surprised",
    "開心語調": "happy",
    "平淡語氣": "calm",
    "厭惡語調": "disgusted",
    "疑問語調": "doubtful",
}
# the simplified edition's names of the same classes
SIMPLIFIED = {
    "伤心": "sad",
    "生气": "angry",
    "关心": "concerned",
    "惊讶": "surprised",
    "开心": "happy",
    "平静": "calm",
    "厌恶": "disgusted",
    "疑问": "doubtful",
}
# how a model may name a class in Chinese: the data set's names and their stems, in both scripts
_STEMS = {
    "sad": ("悲傷", "悲伤", "傷心", "伤心", "難過", "难过"),
    "angry": ("憤怒", "愤怒", "生氣", "生气"),
    "concerned": ("關切", "关切", "關心", "关心"),
    "surprised": ("驚奇", "惊奇", "驚訝", "惊讶"),
    "happy": ("開心", "开心", "高興", "高兴"),
    "calm": ("平淡", "平靜", "平静"),
    "disgusted": ("厭惡", "厌恶"),
    "doubtful": ("疑問", "疑问", "疑惑"),
}
SYNONYMS = CLASSES | {stem: label for label, stems in _STEMS.items() for stem in stems}
REVISION = "119d246a1595b44fd2cdccff0d9b288eafee25d1"
SHINGLE = 2  # characters, for near-duplicates: see embedgrad/tasks/splitting/duplicates.py
SOURCE = Source(
    file="medd.jsonl",
    sha256="df3b85be524a9ee5073246c20c726a2c90699da02716e4c7ff964930d57ea0dd",
    mirror_columns=("idx", "text", "emotion"),
    hub_id="Johnson8187/Chinese_Multi-Emotion_Dialogue_Dataset",
    config="default",
    split="train",
    hub_columns=("text", "emotion"),
    hub_rows=4159,
    licence="MIT",
)
SIMPLIFIED_SOURCE = Source(
    file="medd_simplified.csv",
    sha256="ceeeb23dfb986f854ecd2967f8e3573e4f9db51ede08fb55e0ffa9a13c31f2ff",
    mirror_columns=("text", "label"),
    hub_id="zzhdbw/Simplified_Chinese_Multi-Emotion_Dialogue_Dataset",
    config=None,
    split="train",
    hub_columns=("text", "label"),
    hub_rows=4159,
    licence="Apache-2.0",
)
EDITIONS = ("original", "simplified")


def source_of(edition: str) -> Source:
    """Where an edition comes from.

    Raises:
        UserError: an unknown edition.
    """
    if edition not in EDITIONS:
        raise UserError(f"medd: option edition is {edition!r}; choose {' or '.join(map(repr, EDITIONS))}.")
    return SOURCE if edition == "original" else SIMPLIFIED_SOURCE


def load(mirror: Path | None, *, revision: str = REVISION, edition: str = "original", target: str = LABEL) -> Loaded:
    """All 4,159 utterances in the order of the file; the id is the row number, the class is the label.

    Args:
        mirror: folder with ``data/medd.jsonl``, or None for the hub.
        revision: branch, tag or commit on the hub, of the original; the simplified edition's is ``main``.
        edition: "original" or "simplified"; the ids are the same.
        target: what Eq. 6 is trained on, see :mod:`embedgrad.tasks.targets`.

    Raises:
        UserError: an unknown edition, target or class name, or the source cannot be read.
    """
    rows, provenance = read(source_of(edition), mirror, revision if edition == "original" else "main")
    if edition == "original":
        items = [_item(place, row["text"], row["emotion"], CLASSES) for place, row in enumerate(rows)]
    else:
        items = [_item(place, row["text"], row["label"], SIMPLIFIED) for place, row in enumerate(rows)]
    return Loaded(with_targets("medd", items, target), [item.answer for item in items], provenance)


def _item(place: int, text: str, name: str, classes: dict[str, str]) -> Item:
    if name not in classes:
        raise UserError(
            f"medd: row {place} has the unknown class {name!r}; add it to the classes in embedgrad/tasks/medd.py "
            "or give an older commit as the revision."
        )
    return Item(id=f"medd/{place:05d}", input=text, target=classes[name], answer=classes[name])
