"""Protocol recovery by its command: an answer cut short is the answer under that limit."""

import json

from tiny import tiny_model

from embedgrad.cli import main
from embedgrad.grading import Grading
from embedgrad_core import Decoding, Layout, PromptEmbedding, Slot, decode
from embedgrad_core.files import write_jsonl


def test_a_cut_answer_is_the_answer_under_that_protocol(tokenizer, items, tmp_path):
    frozen = tiny_model(tokenizer)
    frozen.network.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    write_jsonl(tmp_path / "test.jsonl", [item.row() for item in items])
    flags = ["--model", str(tmp_path / "model"), "--prompt", "step by step.", "--evaluator", "yes_no"]
    flags += ["--data", str(tmp_path / "test.jsonl"), "--max-new-tokens", "16", "--limit-shares", "0.5,1"]
    assert main(["recovery", *flags, "--out", str(tmp_path / "out.json")]) == 0
    report = json.loads((tmp_path / "out.json").read_text())
    assert len(report["protocols"]) == 2 * 2 * 2 * 2
    for row in report["protocols"]:
        protocol = row["protocol"]
        slot = Slot.place(tokenizer, Layout(protocol["layout"]), "step by step.")
        vectors = PromptEmbedding.from_text(frozen, slot).initial
        limit = round(16 * protocol["limit_share"])
        said = decode(frozen, slot, vectors, items, Decoding(max_new_tokens=limit, stop_rule=protocol["stop_rule"]))
        grading = Grading("yes_no", strict=protocol["strict"])
        answers = {item.id: item.answer for item in items}
        right = round(grading.accuracy({one.id: one.output for one in said}, answers) * len(items))
        assert row["levels"][""] == {"correct": right, "n": len(items)}
