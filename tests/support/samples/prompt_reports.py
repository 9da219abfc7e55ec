"""Made-up reports of anchoring and LAT, as those analyses write them."""


def anchoring_report(chance, k=9):
    def side(token):
        near = {"p": 1.0, "rank": 1, "nearest_id": token if chance.random() < 0.8 else token + 1, "nearest": "a"}
        return {"softmax": near | {"p": 10 ** chance.uniform(-6, 0)}, "cosine": near, "printed": near}

    rows = [{"position": n, "token_id": n, "drift": chance.uniform(0, 1)} for n in range(k)]
    rows = [row | {name: side(row["position"]) for name in ("before", "after", "random")} for row in rows]
    accuracy = {"before": 1.0, "after": 1.0, "snapped": 1.0, "random": 1.0}
    summary = {"mean_drift": 0.5, "nearest_token_unchanged": k, "positions": k}
    return {"positions": rows, "summary": summary, "round_trip": {"accuracy": accuracy}}


def lat_report(chance, layers):
    """Of both readers."""
    return {"readers": {name: _reader(chance, layers) for name in ("template", "responses")}}


def old_lat_report(chance, layers):
    """Of the one reader that there was before 2026-11-27, without the controls that came later."""
    report = _reader(chance, layers)
    for row in report["layers"]:
        del row["accuracy"]["shuffled"]
        for reading in row["readings"].values():
            for key in ("items", "both", "shuffled", "displaced"):
                del reading[key]
    return report


def _reader(chance, layers):
    def reading(name):
        delta = chance.uniform(-3, 3)
        near = [delta - 0.5, delta + 0.5]
        over_items = {"items": near, "both": [delta - 0.7, delta + 0.7]} if name == "input_last" else {}
        moved = [chance.uniform(-3, 3) for _ in range(3)]
        random = {"random": [-1.5, 1.5], "shuffled": [-1.4, 1.4], "displaced": moved}
        return {"delta": delta, "band": near, "items": None, "both": None, **over_items, **random}

    names = ("prompt_mean", "prompt_last", "input_last")
    rows = [
        {
            "layer": n,
            "accuracy": {"held_out": 0.9, "random": {"q975": 0.8}, "shuffled": {"mean": 0.5, "q975": 0.9}},
            "readings": {name: reading(name) for name in names},
        }
        for n in range(layers)
    ]
    return {"layers": rows, "summary": {name: {"layers_above_zero": 1, "layers": layers} for name in names}}
