"""The divergence between two prompts' answers: torch's own kl_div and autograd on plain logits say the same."""

from dataclasses import replace

import pytest
import torch
from tiny import tiny_model

from embedgrad.carry.divergence import Teacher
from embedgrad_core import Decoding, Layout, PromptEmbedding, Slot
from embedgrad_core.files import UserError

DECODING = Decoding(max_new_tokens=5)


def quiet(line):
    pass


def prompt_of(frozen, text, moved=0.0):
    """A text's prompt, moved by a seed in place of an optimisation."""
    prompt = PromptEmbedding.from_text(frozen, Slot.place(frozen.tokenizer, Layout("chat"), text))
    noise = torch.randn(prompt.initial.shape, generator=torch.Generator().manual_seed(3))
    return replace(prompt, vectors=prompt.initial + moved * noise)


@pytest.mark.parametrize("bias", [False, True])
def test_the_chunked_divergence_and_its_gradient_are_torchs(monkeypatch, tokenizer, bias):
    monkeypatch.setattr("embedgrad_core.objective.CHUNK", 3)
    generator = torch.Generator().manual_seed(0)
    frozen, head = tiny_model(tokenizer, "llama"), torch.nn.Linear(6, 11, bias=bias).requires_grad_(False)
    for parameter in head.parameters():
        parameter.normal_(generator=generator)
    frozen.network.set_output_embeddings(head)
    between = Teacher(frozen, {}, {})._between
    student, teacher = (torch.randn(8, 6, generator=generator) for _ in range(2))
    student.requires_grad_()
    found = between(student, teacher)
    (ours,) = torch.autograd.grad(2 * found, student)
    plain = [head(rows).log_softmax(dim=1) for rows in (student, teacher)]
    wanted = torch.nn.functional.kl_div(plain[0], plain[1], reduction="sum", log_target=True)
    (theirs,) = torch.autograd.grad(2 * wanted, student)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert between(teacher, teacher).item() == pytest.approx(0, abs=1e-6)


def test_of_whole_prompts_it_is_that_of_plain_forward_passes(frozen, items):
    """Each item by itself, as one sequence through the untouched network."""
    prompt = prompt_of(frozen, "positive negative", 0.3)
    teacher = Teacher.of(frozen, prompt, items, DECODING, quiet)
    slot = Slot.place(frozen.tokenizer, Layout("chat"), "Determine whether")
    student = frozen.embed(torch.tensor(slot.prompt_ids)).float().requires_grad_()

    def chances(place, vectors, item):
        answer = teacher.answers[item.id]
        ids = [place.body_ids(item.input), answer[:-1]]
        rest = frozen.embed(torch.tensor([token for part in ids for token in part]))
        row = torch.cat([frozen.embed(torch.tensor(place.head_ids)), vectors, rest])
        return frozen.network(inputs_embeds=row[None]).logits[0, -len(answer) :].log_softmax(dim=1)

    each = [
        torch.nn.functional.kl_div(
            chances(slot, student, item),
            chances(prompt.slot, prompt.vectors, item),
            reduction="sum",
            log_target=True,
        )
        for item in items
    ]
    loss, positions = teacher.loss(slot, student, teacher.encode(slot, items))
    assert positions == sum(len(ids) for ids in teacher.answers.values())
    assert loss.item() == pytest.approx(sum(each).item(), rel=1e-4)
    (ours,), (theirs,) = torch.autograd.grad(loss, student), torch.autograd.grad(sum(each), student)
    assert torch.allclose(ours, theirs, atol=1e-4 * theirs.abs().max())
    assert teacher.divergences(slot, items) == pytest.approx([one.item() for one in each], rel=1e-3, abs=1e-5)
    assert all(one > 1e-3 for one in teacher.divergences(slot, items))


def test_a_prompt_does_not_differ_from_itself(frozen, items):
    prompt = prompt_of(frozen, "positive negative")
    teacher = Teacher.of(frozen, prompt, items, DECODING, quiet)
    assert teacher.divergences(prompt.slot, items) == pytest.approx([0.0] * len(items), abs=1e-5)


def test_a_text_that_leaves_no_room_for_an_item_is_one_clear_error(tokenizer, items):
    frozen = tiny_model(tokenizer, max_position_embeddings=64)
    teacher = Teacher.of(frozen, prompt_of(frozen, "No"), items[1:2], DECODING, quiet)
    long = Slot.place(tokenizer, Layout("chat"), "positive " * 60)
    with pytest.raises(UserError, match=r"item/1: does not fit the model's context behind 'positive"):
        teacher.encode(long, items[1:2])
