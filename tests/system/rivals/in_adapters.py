"""Run by the Python of the adapters environment: facts about bottleneck rivals as JSON, for the tests beside it.

The oracle is the library's own model, one row at a time, with its own attention and without a cache.
"""

import json
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch
from families import model_of
from tiny import tiny_model, tiny_tokenizer

from embedgrad.rivals.artefact import Artefact
from embedgrad.rivals.families import bottlenecks
from embedgrad.rivals.fitting import Fitting, fit_rival, serve
from embedgrad.rivals.table import rival_named
from embedgrad_core import Layout, PromptEmbedding, Settings, Slot
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.files import Item, UserError
from embedgrad_core.objective import encode, target_loss
from embedgrad_core.training import loop as training
from embedgrad_core.training.step import MicroBatching, accumulate

TEXT = "please reason step by step."
INPUTS = ["12 + 30", "a", "the statement is positive, and then it is not", "7", "No", "x y", "42", "step by step"]
ANSWERS = ["\\boxed{42}", "Yes", "negative", "No", "positive", "No", "Yes, positive", "\\boxed{1}"]
ITEMS = [Item(f"i/{n}", a, b, b, str(n % 2)) for n, (a, b) in enumerate(zip(INPUTS, ANSWERS, strict=True))]
STEPS, SEED, LAYERS = 24, 3, 4
# How each rival is tried: settings changed, steps taken before.
CASES = {
    "houlsby": ("houlsby", {}, 0),
    "pfeiffer": ("pfeiffer", {}, 0),
    "drop": ("adapter_drop", {}, 0),
    "robust": ("adapter_drop", {"robust": True}, 5),
    "levels": ("adapter_fusion", {}, 0),
    "fusion": ("adapter_fusion", {}, STEPS // 2),
}


def rival_of(case):
    name, changes, _ = CASES[case]
    rival = rival_named(name)
    return replace(rival, settings={**rival.settings, "reduction": 4, **changes})


def model(family, dtype=torch.float32):
    frozen = tiny_model(tiny_tokenizer(), family, num_hidden_layers=LAYERS)
    frozen.network.to(dtype)
    return frozen


def place(frozen):
    return Slot.place(frozen.tokenizer, Layout(), TEXT)


def begun(frozen, case, moved=True):
    """The rival behind some steps, its leaves moved from where they start."""
    found = bottlenecks.begin(frozen, place(frozen), rival_of(case), ITEMS, SEED, STEPS)
    if CASES[case][2]:
        found.trainable.after_step(CASES[case][2])
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for leaf in found.trainable.leaves.values():
            if moved:
                leaf.add_(0.1 * torch.randn(leaf.shape, generator=generator))
    return found


class Oracle:
    """The library's model of a case, as its documentation has it made, with the leaves of ours."""

    def __init__(self, family, case, leaves):
        import adapters
        from adapters.composition import Fuse
        from adapters.wrappers.interfaces import CUSTOM_INTERFACES

        self.network = model(family).network
        adapters.init(self.network, interface=CUSTOM_INTERFACES["qwen2"])
        base, self.case = self.network.base_model, case
        make = adapters.DoubleSeqBnConfig if case == "houlsby" else adapters.SeqBnConfig
        config = make(reduction_factor=4, leave_out=[0, 1] if case == "drop" else [])
        self.names = ["level0", "level1"] if case in ("levels", "fusion") else ["rival"]
        for name in self.names:
            base.add_adapter(name, config=config)
        self.fuse = Fuse(*self.names) if len(self.names) > 1 else None
        if self.fuse:
            base.add_adapter_fusion(self.fuse, "dynamic")
        self.network.eval()
        named = dict(self.network.named_parameters())
        self.leaves = {name: named[name] for name in leaves}
        made = {name for name in named if "adapters." in name or "fusion" in name}
        assert made == set(leaves), made ^ set(leaves)
        with torch.no_grad():
            for name, leaf in self.leaves.items():
                leaf.copy_(leaves[name])
        self.network.requires_grad_(False)
        for leaf in self.leaves.values():
            leaf.requires_grad_()

    def loss(self, slot, item, skip):
        base = self.network.base_model
        base.set_active_adapters(
            self.names[int(item.level)] if self.case == "levels" else self.fuse or self.names[0],
            skip_layers=list(range(skip)),
        )
        ids = torch.tensor([[*slot.prompt_ids, *slot.body_ids(item.input), *slot.target_ids(item)]])
        wanted = len(slot.target_ids(item))
        labels = torch.full_like(ids, -100)
        labels[0, -wanted:] = ids[0, -wanted:]
        return self.network(input_ids=ids, labels=labels, use_cache=False).loss * wanted

    def answer(self, ids, new):
        """Full forward passes, no cache."""
        for _ in range(new):
            with torch.no_grad():
                logits = self.network(input_ids=torch.tensor([ids]), use_cache=False).logits
            ids = [*ids, int(logits[0, -1].argmax())]
        return ids[-new:]


def skipped(case):
    """How many layers the training step of the case leaves out, and answering."""
    if case != "robust":
        return 0, 0
    generator = torch.Generator().manual_seed(SEED * 1_000_003 + CASES[case][2])
    return int(torch.randint(LAYERS, (), generator=generator)), LAYERS // 2


def oracle(family):
    """All cases in a model of that family."""
    return {case: compared(family, case) for case in CASES}


def compared(family, case):
    """Loss, gradient and answers of ours beside the library's."""
    frozen = model(family)
    slot, found = place(frozen), begun(frozen, case)
    leaves = found.trainable.leaves
    best = {name: leaf.detach().clone() for name, leaf in leaves.items()}
    theirs = Oracle(family, case, best)
    training, answering = skipped(case)
    total = sum(theirs.loss(slot, item, training) for item in ITEMS)
    if case == "fusion":
        values = [leaf for name, leaf in theirs.leaves.items() if "value" in name]
        total = total + len(ITEMS) * 0.01 * sum((torch.eye(len(v)) - v).square().sum() for v in values)
    examples = encode(slot, ITEMS, frozen.context)
    loss, targets = found.trainable.loss(examples)
    wanted = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
    ours = torch.autograd.grad(loss, list(wanted.values()))
    expected = torch.autograd.grad(total, [theirs.leaves[name] for name in wanted])
    # The bias of a fusion's keys has no gradient: it adds the same to all that its softmax compares.
    floor = 1e-4 * float(torch.stack([gradient.norm() for gradient in expected]).norm())

    def apart(one, two):
        return max(float((a - b).norm() / max(float(b.norm()), floor)) for a, b in zip(one, two, strict=True))

    # The same by micro-batches, layers computed again in the backward pass.
    for leaf in leaves.values():
        leaf.grad = None
    again, _ = accumulate(found.trainable, examples, MicroBatching(40, checkpointing=True))
    recomputed = apart([leaf.grad for leaf in wanted.values()], ours)
    # Answers by a model of its own, in which the stored tensors are served.
    other = model(family)
    stored = found.store(best)
    served = bottlenecks.serve(other, slot, rival_of(case), stored)
    bodies = [slot.body_ids(item.input) for item in ITEMS]
    rows = greedy(other, slot, served.vectors, bodies, 10, [], batch_size=3)
    if case == "levels":
        theirs.case = "fusion"
    theirs.loss(slot, ITEMS[0], answering)  # switches on what answers
    same = [row.ids == theirs.answer([*slot.prompt_ids, *body], 10) for row, body in zip(rows, bodies, strict=True)]
    return {
        "loss": abs(loss.item() / total.item() - 1),
        "targets": targets == sum(len(example.target) for example in examples),
        "gradient": apart(ours, expected),
        "micro_batches": abs(again / loss.item() - 1),
        "recomputed": recomputed,
        "answers": same,
        "trained": sorted(wanted),
        "leaves": len(leaves),
        "stored": sorted(stored),
        "skipped": training,
    }


def identity():
    """Losses before the first step beside the text prompt's."""
    facts = {}
    for case, dtype in product(CASES, (torch.float32, torch.bfloat16)):
        frozen = model("llama", dtype)
        slot = place(frozen)
        examples = encode(slot, ITEMS, frozen.context)
        with torch.no_grad():
            text, _ = target_loss(frozen, slot, PromptEmbedding.from_text(frozen, slot).initial, examples)
            found = begun(frozen, case, moved=False)
            start, _ = found.trainable.loss(examples)
        loss, _ = begun(model("llama", dtype), case).trainable.loss(examples)
        facts[f"{case} {dtype}"] = {
            "text": text.item(),
            "start": start.item(),
            "says": found.identity,
            "moved": loss.item(),
            "dtypes": sorted({str(leaf.dtype) for leaf in found.trainable.leaves.values()}),
        }
    return facts


def fit(family, case, state, killed_at=0):
    """A fit of eight epochs, which may be killed in the middle of one."""
    frozen, settings = model(family), Settings(0.01, 8, batch_size=3, patience=0, seed=1)
    rival, steps = rival_of(case), []

    class Killed(torch.optim.Adam):
        def step(self, closure=None):
            steps.append(1)
            if len(steps) == killed_at:
                raise KeyboardInterrupt
            return super().step(closure)

    training.OPTIMIZERS["adam"] = Killed
    fitting = Fitting(Layout(), TEXT, ITEMS, ITEMS, settings, state, log=lambda line: None)
    try:
        artefact, history = fit_rival(frozen, rival, fitting, dict(rival.settings))
    except KeyboardInterrupt:
        return {"killed": len(steps)}
    artefact.save(f"{state}.safetensors", frozen)
    return {
        "steps": len(steps),
        "losses": [line["dev_loss"] for line in history],
        "may_win": [line.get("may_win", True) for line in history],
        "best": artefact.header["best_epoch"],
    }


def fits(folder, *cases):
    """Each case undisturbed, and killed in two places and gone on with."""
    facts = {}
    for case in cases:
        facts[case] = {"whole": fit("llama", case, Path(folder, f"{case} whole"))}
        for killed_at in (5, 17):
            state = Path(folder, f"{case} {killed_at}")
            facts[case][str(killed_at)] = [fit("llama", case, state, killed_at), fit("llama", case, state)]
    return facts


def answers(*files):
    """The losses of stored rivals, and whether anything in the model still wants a gradient."""
    facts = []
    for file in files:
        frozen = model("llama")
        served = serve(frozen, Artefact.load(file, frozen))
        with torch.no_grad():
            loss, _ = target_loss(frozen, served.slot, served.vectors, encode(served.slot, ITEMS, frozen.context))
        wants = any(parameter.requires_grad for parameter in frozen.network.parameters())
        facts.append({"loss": loss.item() / len(ITEMS), "wants_gradient": wants})
    return facts


def refused():
    """The errors of a model, a setting and a file that do not fit."""

    def begin(family, **changes):
        frozen, rival = model_of(family, tiny_tokenizer()), rival_of("pfeiffer")
        rival = replace(rival, settings={**rival.settings, **changes})
        bottlenecks.begin(frozen, place(frozen), rival, ITEMS, SEED, STEPS)

    def serve_other():  # stored for four layers, served in two
        stored, other = begun(model("llama"), "pfeiffer").trainable.leaves, model_of("qwen3", tiny_tokenizer())
        bottlenecks.serve(other, place(other), rival_of("pfeiffer"), stored)

    facts = {}
    tried = {
        "gpt2": lambda: begin("gpt2"),
        "gemma2": lambda: begin("gemma2"),
        "zero": lambda: begin("qwen2", reduction=0),
        "other": serve_other,
    }
    for name, work in tried.items():
        try:
            work()
        except UserError as error:
            facts[name] = str(error)
    return facts


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    commands = {"oracle": oracle, "identity": identity, "fits": fits, "answers": answers, "refused": refused}
    print(json.dumps(commands[command](*arguments)))
