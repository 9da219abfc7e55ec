"""Exports of every other model of tests/unit/core/export: what other tools read answers as ours does, token for token."""

import pytest
from exports import MODELS, merged_answers_as_ours, peft_answers_as_ours, saved_model


@pytest.fixture(scope="module", params=list(MODELS)[1::2])
def saved(request, tokenizer, tmp_path_factory):
    return saved_model(request.param, tokenizer, tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("kind", ["bare", "chat"])
def test_the_merged_checkpoint_answers_plain_text_as_ours(saved, kind, tmp_path):
    merged_answers_as_ours(saved, kind, tmp_path)


def test_the_peft_adapter_gives_our_logits_and_text(saved, tmp_path):
    peft_answers_as_ours(saved, tmp_path)
