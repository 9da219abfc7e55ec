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
    def reading():
        delta = chance.uniform(-3, 3)
        return {"delta": delta, "band": [delta - 0.5, delta + 0.5], "random": [-1.5, 1.5]}

    accuracy = {"held_out": 0.9, "random": {"q975": 0.8}}
    names = ("prompt_mean", "prompt_last", "input_last")
    rows = [{"layer": n, "accuracy": accuracy, "readings": {name: reading() for name in names}} for n in range(layers)]
    return {"layers": rows, "summary": {}}
