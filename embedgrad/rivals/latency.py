"""Time to the first token and of each further one, of a fitted method beside the text prompt.

One row at a time, by the suite's own decoder, everything before the input read anew for each answer. Every answer has the same
number of tokens: nothing ends it early. The two answer in turn, each first in every other pair, after one answer each to warm up;
a ratio is of such a pair, so that a busy machine slows both sides of it. Milliseconds are those of the machine as it was.

The model is loaded once. A method that puts modules into it works on modules of its own over the same weights
(:func:`beside`), and the text prompt on the untouched ones; full fine-tuning has weights of its own, and QLoRA's network is
loaded in 4 bits beside the model as it is.

An answer of Self-Refine is several calls, each of the same number of tokens, all its rounds: what it writes is neither read for
"It is correct" nor cut off by an end token, so that this is its longest. Its first token is that of the last rewriting, behind all
calls before it; its further tokens are that rewriting's. A round whose requests do not fit the context is left out.
"""

import copy
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, median
from typing import Any

import numpy as np
import torch

from embedgrad.analyses.baselines.text_answers import text_vectors
from embedgrad.rivals.artefact import Artefact
from embedgrad.rivals.families.at_test_time import FEEDBACK, REWRITE, about, behind_examples, request
from embedgrad.rivals.families.method import Served
from embedgrad.rivals.fitting import serve
from embedgrad.rivals.rival import Measure
from embedgrad.runtime.progress import Progress
from embedgrad_core import FrozenModel
from embedgrad_core.decoding.answers import check_lengths
from embedgrad_core.decoding.graphed import Workspace
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.files import Item, UserError
from embedgrad_core.model.attention import check_attention
from embedgrad_core.model.kernels import FrozenLinear, packed_weights

MODULES = ("weights", "bottlenecks")  # families that change the network


@dataclass(frozen=True)
class Call:
    """One call of the model.

    Attributes:
        served: what stands before its input.
        reads: its input, of an item and what the calls before it wrote.
    """

    served: Served
    reads: Callable[[Item, Sequence[str]], str] = lambda item, said: item.input


@dataclass(frozen=True)
class Timing:
    """One answer.

    Attributes:
        first: seconds to its first token.
        further: seconds of each further token.
        ids: its tokens.
        positions: that stand before the first token, of all calls.
        calls: of the model.
    """

    first: float
    further: float
    ids: Sequence[int]
    positions: int
    calls: int = 1


@dataclass(frozen=True)
class Way:
    """A way to answer an item.

    Attributes:
        frozen: the model, with what the method puts into it.
        calls: that an answer takes one after the other; every other one, from the first, is an answer.
    """

    frozen: FrozenModel
    calls: Sequence[Call]
    # On a GPU a workspace's graphs are captured once if it is kept for lengths that stay the same.
    _workspaces: dict[tuple, Workspace] = field(default_factory=lambda: defaultdict(Workspace), repr=False)

    def answer(self, item: Item, tokens: int) -> Timing:
        """Answer in exactly ``tokens`` tokens.

        Raises:
            UserError: the first call does not fit the model's context.
        """
        said: list[str] = []
        made: list[Timing] = []
        for place, call in enumerate(self.calls):
            slot, past = call.served.slot, call.served.past
            asked = replace(item, input=call.reads(item, said))
            body = slot.body_ids(asked.input)
            before = (len(past) if past else 0) + len(slot.head_ids) + len(call.served.vectors) + len(body)
            if place and before + tokens > self.frozen.context:
                break
            check_lengths(self.frozen, slot, [item], {item.id: body}, tokens, len(past) if past else 0)
            ids, first, further = self._call((place, item.id), call.served, body, tokens)
            made.append(Timing(first, further, ids, before))
            said.append(self.frozen.tokenizer.decode(ids, skip_special_tokens=True))
        *earlier, last = made[: len(made) - (len(made) + 1) % 2]  # feedback without its rewriting does not count
        waited = sum(one.first + (tokens - 1) * one.further for one in earlier)
        positions = sum(one.positions for one in (*earlier, last))
        return replace(last, first=waited + last.first, positions=positions, calls=len(earlier) + 1)

    def _call(self, key: tuple, served: Served, body: list[int], tokens: int) -> tuple[list[int], float, float]:
        """Token ids of one call, seconds to the first, and of each further one."""
        looks: list[float] = []

        def run(limit: int) -> tuple[list[int], float]:
            looks.clear()
            start = self._now()
            rows = greedy(
                *(self.frozen, served.slot, served.vectors, [body], limit, ()),
                batch_size=1,
                on_step=lambda begun: looks.append(time.perf_counter() - start),
                workspace=self._workspaces[*key, limit],
                past=served.past,
            )
            return rows[0].ids, self._now() - start

        ids, whole = run(tokens)
        # On a CPU the decoder looks at each token as it comes. On a GPU it looks seldom: an answer of one token tells.
        first = looks[0] if len(looks) == tokens else run(1)[1]
        return ids, first, (whole - first) / (tokens - 1)

    def _now(self) -> float:
        """Seconds, when all that a GPU was asked for is done."""
        if self.frozen.device.type == "cuda":
            for place in {parameter.device for parameter in self.frozen.network.parameters()}:
                torch.cuda.synchronize(place)
        return time.perf_counter()


def latency(
    frozen: FrozenModel,
    artefact: Artefact,
    items: Sequence[Item],
    spec: Measure,
    *,
    quantised: FrozenModel | None = None,
    log: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Measure a fitted method beside the text prompt.

    Args:
        frozen: the model; nothing is put into it.
        artefact: the fitted method.
        items: of which ``spec.items`` are answered, spread over the lengths of their inputs.
        spec: how many items, how often, and how long an answer is.
        quantised: the model as the method itself has it, where that is another; it may have modules put into it.
        log: where plain lines go.

    Returns:
        Medians over all answers, in milliseconds, with the number of positions before the first token (mean over the items) and
        the method's calls an answer; medians and quartiles of the ratios of all pairs.

    Raises:
        UserError: fewer items than asked for, an answer of fewer than two tokens, no repeats, or an item that leaves no room for
            its answer.
    """
    for name, least in (("repeats", 1), ("items", 1), ("tokens", 2)):
        if getattr(spec, name) < least:
            raise UserError(f"{name} is {getattr(spec, name)}; measuring latency needs at least {least}.")
    check_attention(frozen.network)
    with packed_weights(frozen.network):
        ways = text_way(frozen, artefact), rival_way(quantised or frozen, artefact)
        chosen = spread_over_lengths(ways[0], items, spec.items)
        with Progress(f"{artefact.rival.name}, latency", (1 + spec.repeats) * len(chosen), log) as at:
            pairs = []
            for repeat in range(1 + spec.repeats):
                for place, item in enumerate(chosen):
                    order = (0, 1) if (repeat + place) % 2 else (1, 0)
                    timed = {side: ways[side].answer(item, spec.tokens) for side in order}
                    if repeat:  # the first of all warms up
                        pairs.append((timed[0], timed[1]))
                    at.advance()
    return _numbers(pairs) | {"repeats": spec.repeats, "tokens": spec.tokens, "items": [item.id for item in chosen]}


def _numbers(pairs: Sequence[tuple[Timing, Timing]]) -> dict[str, Any]:
    text, own = zip(*pairs, strict=True)
    found: dict[str, Any] = {"calls": fmean(one.calls for one in own), "text_prompt": _medians(text), "quartiles": {}}
    for name, key in (("first_token_ratio", "first"), ("token_ratio", "further")):
        ratios = [getattr(rival, key) / getattr(base, key) for base, rival in pairs]
        low, found[name], high = np.quantile(ratios, [0.25, 0.5, 0.75]).tolist()
        found["quartiles"][name] = [low, high]
    return found | _medians(own)


def _medians(timings: Sequence[Timing]) -> dict[str, float]:
    return {
        "first_token_ms": 1000 * median(one.first for one in timings),
        "token_ms": 1000 * median(one.further for one in timings),
        "positions": fmean(one.positions for one in timings),
    }


def text_way(frozen: FrozenModel, artefact: Artefact) -> Way:
    """The human prompt as it was before the method changed anything."""
    return Way(frozen, [Call(Served(*text_vectors(frozen, artefact.slot.layout, artefact.header["human_prompt"])))])


def rival_way(frozen: FrozenModel, artefact: Artefact) -> Way:
    """The fitted method; ``frozen`` stays as it is unless it is quantised."""
    rival, human = artefact.rival, artefact.slot

    def call(text: str, reads: Callable[[Item, Sequence[str]], str] = Call.reads) -> Call:
        return Call(Served(*request(frozen, human, text)), reads)

    if rival.settings.get("method") == "few_shot":
        return Way(frozen, [call(behind_examples(artefact))])
    if rival.settings.get("method") == "self_refine":
        criticise = call(FEEDBACK, lambda item, said: about(human, item, said[-1]))
        rewrite = call(REWRITE, lambda item, said: about(human, item, said[-2], said[-1]))
        first = call(human.text)
        return Way(frozen, [first, *[criticise, rewrite] * rival.settings["rounds"]])
    if rival.family in MODULES and "quantisation" not in rival.settings:
        frozen = beside(frozen, shared=rival.settings.get("method") != "full")
    return Way(frozen, [Call(serve(frozen, artefact))])


def beside(frozen: FrozenModel, *, shared: bool = True) -> FrozenModel:
    """The model once more, in modules of its own: what is put into them leaves ``frozen`` as it is.

    Args:
        frozen: the model; packed weights, where it has any, are shared.
        shared: whether the weights are the same tensors, so that the copy takes no memory, or copies too.
    """
    network = frozen.network
    kept = [
        module.packed for module in network.modules() if isinstance(module, FrozenLinear) and module.packed is not None
    ]
    if shared:
        kept += [*network.parameters(), *network.buffers()]
    return replace(frozen, network=copy.deepcopy(network, {id(tensor): tensor for tensor in kept}))


def spread_over_lengths(way: Way, items: Sequence[Item], count: int) -> list[Item]:
    """``count`` items whose inputs lie evenly among the lengths of all.

    Raises:
        UserError: there are fewer.
    """
    if count > len(items):
        raise UserError(f"items: {count} are to be measured, the data has {len(items)}; ask for fewer.")
    slot = way.calls[0].served.slot
    ordered = sorted(items, key=lambda item: (len(slot.body_ids(item.input)), item.id))
    return [ordered[(2 * place + 1) * len(ordered) // (2 * count)] for place in range(count)]
