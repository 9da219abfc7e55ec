"""Each gradient rival against its library's own path, one row at a time: loss, gradient, answers."""

import pytest
import torch
from rival_samples import ON_TINY, STEPS, alternating, begun, family_of, stored_answers_as_trained
from tiny import tiny_model

from embedgrad.rivals.table import RIVALS
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.objective import encode


@pytest.fixture(params=["llama", "qwen2"])
def fresh(request, tokenizer):
    """A model of its own: some rivals put modules into it."""
    return tiny_model(tokenizer, request.param)


@pytest.mark.parametrize(("family", "name"), alternating("qwen2", "llama"))
def test_what_is_stored_answers_as_what_was_trained(tokenizer, items, family, name):
    """Every other pair of a family and a rival; the rest is in tests/unit/rivals/test_begun.py."""
    stored_answers_as_trained(tiny_model(tokenizer, family), name, items)


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
