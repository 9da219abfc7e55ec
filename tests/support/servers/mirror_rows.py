"""Invented rows of every data set, as its mirror file holds them."""

from embedgrad.tasks import causal_judgment, medd

PREFIX = causal_judgment.TASK_PREFIX
MIRROR = {
    "math500": [
        {
            "problem": f"What is {i} + {i}?",
            "solution": rf"It is \boxed{{{2 * i}}}.",
            "answer": str(2 * i),
            "subject": "Algebra",
            "level": i % 5 + 1,
            "unique_id": f"test/algebra/{i}.json",
        }
        for i in range(6)
    ],
    "imdb": [
        {"id": "train/pos/1_9.txt", "split": "train", "label": 1, "text": "not for the pool"},
        {"id": "test/neg/12_1.txt", "split": "test", "label": 0, "text": "bad<br /><br />very"},
        {"id": "test/pos/3_9.txt", "split": "test", "label": 1, "text": " good "},
    ],
    "medd": [
        {"idx": i, "text": f"第{i}句 ", "emotion": emotion, "label": label}
        for i, (emotion, label) in enumerate(medd.CLASSES.items())
    ],
    "causal_judgment": {
        "canary": "invented",
        "examples": [
            {"input": "Ann sneezed. Q: or A: may stand inside. Did Ann do it?", "target_scores": {"Yes": 1, "No": 0}},
            {"input": "Ben slept.\n\nDid Ben do it?", "target_scores": {"Yes": 0, "No": 1}, "comment": "x"},
        ],
    },
}
