"""Each gradient rival against its library's own path, one row at a time: loss, gradient, answers."""

from importlib import import_module

import pytest
import torch
from tiny import tiny_model

from embedgrad.rivals.table import GRADIENT, RIVALS
from embedgrad_core import Layout, Slot
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.objective import encode, target_loss
from embedgrad_core.prompt import PromptEmbedding

ON_TINY = [
    name for name, rival in RIVALS.items() if rival.family in GRADIENT and name != "qlora" and not rival.environment
]
IDENTITY = {"prompt_tuning_text", "prefix_text", "lora", "dora", "ia3", "adalora", "fine_tuning"}
STEPS = 24


def family_of(rival):
    return import_module(f"embedgrad.rivals.{rival.family}")


@pytest.fixture(params=["llama", "qwen2"])
def fresh(request, tokenizer):
    """A model of its own: some rivals put modules into it."""
    return tiny_model(tokenizer, request.param)


def begun(frozen, name, items):
    slot = Slot.place(frozen.tokenizer, Layout(), "please reason step by step.")
    rival = RIVALS[name]
    return rival, slot, family_of(rival).begin(frozen, slot, rival, items, 3, STEPS)


@pytest.mark.parametrize("name", ON_TINY)
def test_a_rival_that_starts_as_the_identity_has_the_text_prompts_loss(fresh, items, name):
    slot = Slot.place(fresh.tokenizer, Layout(), "please reason step by step.")
    text = PromptEmbedding.from_text(fresh, slot).initial
    with torch.no_grad():
        plain, count = target_loss(fresh, slot, text, encode(slot, items, fresh.context))
        _, _, rival = begun(fresh, name, items)
        loss, targets = rival.trainable.loss(encode(slot, items, fresh.context))
    assert targets == count
    assert rival.identity is (name in IDENTITY)
    assert (loss.item() == pytest.approx(plain.item(), rel=1e-6)) is rival.identity


@pytest.mark.parametrize("name", ON_TINY)
def test_what_is_stored_answers_as_what_was_trained(fresh, items, name, tokenizer):
    rival, slot, trained = begun(fresh, name, items)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for leaf in trained.trainable.leaves.values():
            leaf.add_(0.05 * torch.randn(leaf.shape, generator=generator))
        best = {key: leaf.detach().clone() for key, leaf in trained.trainable.leaves.items()}
        examples = encode(slot, items, fresh.context)
        loss, _ = trained.trainable.loss(examples)
    other = tiny_model(tokenizer, fresh.network.config.model_type)
    served = family_of(rival).serve(other, slot, rival, trained.store(best))
    with torch.no_grad():
        again, _ = target_loss(other, served.slot, served.vectors, examples, served.past)
    assert again.item() == pytest.approx(loss.item(), rel=1e-5)
    bodies = [served.slot.body_ids(item.input) for item in items]
    rows = greedy(other, served.slot, served.vectors, bodies, 8, [], batch_size=3, past=served.past)
    alone = [greedy(other, served.slot, served.vectors, [body], 8, [], past=served.past)[0] for body in bodies]
    assert [row.ids for row in rows] == [row.ids for row in alone]


def by_peft(name, frozen, slot, trained):
    """PEFT's own model of the same method with the same tensors, and the ids that it is fed before an item's."""
    import peft

    k, config = slot.k, frozen.network.config
    common = {"task_type": "CAUSAL_LM", "num_virtual_tokens": k}
    rival = RIVALS[name]
    leaves = {key: leaf.detach() for key, leaf in trained.trainable.leaves.items()}
    if name == "fine_tuning":  # transformers' own, all of it
        frozen.network.load_state_dict(leaves, strict=False)
        frozen.network.requires_grad_(True)
        return frozen.network, list(slot.prompt_ids), dict(frozen.network.named_parameters())
    if rival.family == "weights":
        made = {
            "lora": lambda: peft.LoraConfig(
                r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"
            ),
            "dora": lambda: peft.LoraConfig(
                r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", use_dora=True
            ),
            "ia3": lambda: peft.IA3Config(task_type="CAUSAL_LM"),
            "adalora": lambda: peft.AdaLoraConfig(
                init_r=8,
                target_r=4,
                lora_alpha=16,
                target_modules=list(rival.settings["targets"]),
                total_step=STEPS,
                tinit=2,
                tfinal=8,
                task_type="CAUSAL_LM",
                orth_reg_weight=0.5,
            ),
        }[name]()
        model = peft.get_peft_model(frozen.network, made)
        named = {
            key.removeprefix("base_model.model."): leaf for key, leaf in model.named_parameters() if leaf.requires_grad
        }
        assert set(named) == set(leaves)
        with torch.no_grad():
            for key, leaf in named.items():
                leaf.copy_(leaves[key])
        return model.eval(), list(slot.prompt_ids), named
    if rival.family == "prefixes":
        projection = rival.settings["projection"]
        made = peft.PrefixTuningConfig(
            **common, prefix_projection=projection > 0, encoder_hidden_size=projection or None
        )
        before = list(slot.prompt_ids)
    elif "encoder" in rival.settings:
        made = peft.PromptEncoderConfig(
            **common, encoder_reparameterization_type=rival.settings["encoder"], encoder_hidden_size=config.hidden_size
        )
        before = []
    else:
        made, before = peft.PromptTuningConfig(**common), []
        leaves = {"embedding.weight": leaves["vectors"]}
    model = peft.get_peft_model(frozen.network, made)
    encoder = model.prompt_encoder["default"]
    encoder.load_state_dict(leaves)
    named = dict(encoder.named_parameters())
    if set(named) == {"embedding.weight"} and "vectors" in trained.trainable.leaves:
        named = {"vectors": named["embedding.weight"]}
    return model.eval(), before, named


def orthogonality(named):
    """AdaLoRA's regulariser, which PEFT adds to each mean loss."""
    products = [
        leaf @ leaf.T if "lora_A" in key else leaf.T @ leaf for key, leaf in named.items() if "lora_E" not in key
    ]
    return 0.5 * torch.stack([torch.norm(product - torch.eye(len(product))) for product in products]).mean()


@pytest.mark.parametrize("name", [name for name in ON_TINY if name != "prefix_text"])
def test_loss_gradient_and_answers_equal_pefts_single_rows(fresh, items, name, tokenizer):
    rival, slot, trained = begun(fresh, name, items)
    leaves = trained.trainable.leaves
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for leaf in leaves.values():
            leaf.add_(0.05 * torch.randn(leaf.shape, generator=generator))
    family = fresh.network.config.model_type
    model, before, theirs = by_peft(name, tiny_model(tokenizer, family), slot, trained)
    total = torch.zeros(())
    examples = encode(slot, items, fresh.context)
    for example in examples:
        ids = torch.tensor([[*before, *example.body, *example.target]])
        wanted = len(example.target)
        labels = torch.full_like(ids, -100)
        labels[0, -wanted:] = ids[0, -wanted:]
        mean = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).loss
        total = total + mean * wanted - (orthogonality(theirs) * (wanted - 1) if name == "adalora" else 0)
    loss, _ = trained.trainable.loss(examples)
    assert loss.item() == pytest.approx(total.item(), rel=2e-5)
    ours = torch.autograd.grad(loss, list(leaves.values()))
    expected = torch.autograd.grad(total, [theirs[key] for key in leaves])
    for one, two in zip(ours, expected, strict=True):
        assert (one - two).norm() <= 1e-3 * two.norm() + 1e-6
    best = {key: leaf.detach().clone() for key, leaf in leaves.items()}
    frozen = tiny_model(tokenizer, family)
    served = family_of(rival).serve(frozen, slot, rival, trained.store(best))
    bodies = [served.slot.body_ids(item.input) for item in items]
    rows = greedy(frozen, served.slot, served.vectors, bodies, 10, [], batch_size=4, past=served.past)
    for body, row in zip(bodies, rows, strict=True):
        ids = torch.tensor([[*before, *body]])
        found = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=10,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
        # Behind vectors that have no ids, some versions of generate give the new tokens alone.
        assert row.ids == found[0].tolist()[-10:]
