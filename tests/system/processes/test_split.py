"""A split does not hang on Python's own hashing."""

import json
import os
import subprocess
import sys

from places import ROOT


def test_hash_seed_changes_nothing():
    code = (
        "import json; from embedgrad_core.files import Item; from embedgrad.tasks.splitting.split import halve\n"
        "items = [Item(f't/{i}', 'x', 'x', 'x', 'ab'[i % 2]) for i in range(60)]\n"
        "classes = ['pqr'[i % 3] for i in range(60)]\n"
        "print(json.dumps(halve(items, classes, [[0, 7, 9], [2, 4]], seed=3, dev_fraction=0.2)[0]))"
    )
    outputs = set()
    for hash_seed in ("0", "1", "77"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert sum(map(len, json.loads(outputs.pop()).values())) == 60
