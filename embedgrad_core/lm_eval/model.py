"""An optimised prompt under any task of lm-evaluation-harness: model ``embedgrad``.

    python -m embedgrad_core.lm_eval run --model embedgrad --model_args prompt=prompt.safetensors --tasks hellaswag --limit 100

A task's context takes the place of the input, after the vectors and in the layout that the prompt was optimised in; what is
scored or generated follows it. The command line is lm-eval's own (https://github.com/EleutherAI/lm-evaluation-harness);
importing this module registers the model for its Python API.
"""

import argparse
import sys
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
import yaml
from lm_eval.__main__ import cli_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook
from lm_eval.api.registry import register_model
from lm_eval.models.huggingface import HFLM

from embedgrad_core import FrozenModel, PromptEmbedding, load_model, read_prompt_file
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.files import UserError
from embedgrad_core.lm_eval.requests import check_cache, fingerprint, user_text
from embedgrad_core.model.attention import check_attention
from embedgrad_core.model.kernels import packed_weights
from embedgrad_core.objective import CHUNK, Example, chunked_logits, target_hidden
from embedgrad_core.prompt_header import recorded_decoding, recorded_model
from embedgrad_core.training.step import MicroBatching


@register_model("embedgrad")
class EmbedGradLM(HFLM):
    """A frozen model with an optimised prompt, as lm-eval asks models.

    Args:
        prompt: the prompt file.
        pretrained: another place of the model than the prompt file names.
        text_prompt: answer with the text prompt's own vectors ("before").
        revision: of a hub model.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        batch_size: rows decoded together.
        more: as :class:`HFLM` takes; what does not fit a loaded model is ignored there.

    Raises:
        UserError: no prompt file, or not this model's.
    """

    def __init__(
        self,
        prompt: str,
        pretrained: str | FrozenModel | None = None,
        *,
        text_prompt: bool = False,
        revision: str | None = None,
        device: str | None = "auto",
        dtype: str = "auto",
        batch_size: int | str = 16,
        **more: Any,
    ) -> None:
        header = read_prompt_file(prompt)[1]
        decoding = recorded_decoding(prompt, header)
        if isinstance(pretrained, FrozenModel):
            frozen = pretrained
        else:
            name, revision = recorded_model(header, pretrained, revision)
            if not name:
                raise UserError(f"{prompt}: does not say which model it was made for; give pretrained=….")
            frozen = load_model(name, revision=revision, device=device or "auto", dtype=dtype)
        check_attention(frozen.network)
        self.frozen = frozen
        loaded = PromptEmbedding.load(prompt, frozen)
        self.slot = loaded.slot
        self.vectors = loaded.initial if _is_true(text_prompt) else loaded.vectors
        # How its answers end is the prompt's own, whatever the task; how long they may get is the task's.
        self.stop_ids = frozen.stop_ids(decoding.stop_rule)
        self.stop_on_loop = decoding.early
        rows = int(batch_size) if str(batch_size).isdecimal() else 16
        super().__init__(pretrained=frozen.network, tokenizer=frozen.tokenizer, batch_size=rows, **more)

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: Mapping[str, Any], additional_config: Mapping[str, Any] | None = None
    ) -> Self:
        """As lm-eval makes a model from --model_args and its own flags; what --model_args says goes first.

        Raises:
            UserError: no prompt file is named.
        """
        named = {key: value for key, value in (additional_config or {}).items() if value is not None} | dict(arg_dict)
        if not named.get("prompt"):
            raise UserError("--model_args names no prompt file; give prompt=prompt.safetensors.")
        return cls(**named)

    def set_cache_hook(self, cache_hook: CacheHook) -> None:
        """As lm-eval hands a cache of answers to a model; one with answers of another prompt is refused."""
        if cache_hook.dbdict is not None:
            own = fingerprint(self.slot, self.vectors, self.frozen.resolved, self.frozen.dtype)
            check_cache(cache_hook.dbdict, own)
        super().set_cache_hook(cache_hook)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The context of ``--apply_chat_template``: a chat prompt brings its own template, so that its input is the user's text.

        Raises:
            UserError: turns beside the user's for a chat prompt; a model without a chat template.
        """
        if self.slot.layout.kind == "chat":
            return user_text(chat_history)
        if not self.frozen.tokenizer.chat_template:
            raise UserError("--apply_chat_template: this model's tokenizer has no chat template; leave it out.")
        return super().apply_chat_template(chat_history, add_generation_prompt)

    @property
    def room(self) -> int:
        """Tokens that fit after the prompt."""
        return self.frozen.context - len(self.slot.head_ids) - self.slot.k

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Log-likelihood in nats of each continuation, and whether it is what greedy decoding writes."""
        examples = []
        for place, request in enumerate(requests):
            context, continuation = request.args
            if not (self.slot.layout.kind == "chat" or self.slot.layout.suffix):
                # As lm-eval does: a space at the end of the context belongs to the token that follows.
                stripped = context.rstrip()
                context, continuation = stripped, context[len(stripped) :] + continuation
            target = self.slot.continuation_ids(context, continuation)
            body = self._cut(self.slot.body_ids(context), self.room - len(target))
            examples.append(Example(str(place), body, target))
        found = self._score(examples)
        for request, one in zip(requests, found, strict=True):
            self.cache_hook.add_partial("loglikelihood", request.args, one)
        return found

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood in nats of whole texts after the prompt, in disjoint windows where one is too long."""
        totals = []
        for request in requests:
            (text,) = request.args
            ids, body = self.slot.continuation_ids("", text), self.slot.body_ids("")
            width = self.room - len(body)
            windows = [Example(str(start), body, ids[start : start + width]) for start in range(0, len(ids), width)]
            totals.append(sum(value for value, _ in self._score(windows)))
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, totals[-1])
        return totals

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Greedy answers, cut at the first of the task's stop strings."""
        answers: dict[int, str] = {}
        limits: dict[int, list[int]] = {}
        for place, request in enumerate(requests):
            asked = request.args[1]
            if asked.get("do_sample") and asked.get("temperature", 1) > 0:
                raise UserError("embedgrad decodes greedily; set do_sample: false in the task's generation_kwargs.")
            limits.setdefault(int(asked.get("max_gen_toks", self.max_gen_toks)), []).append(place)
        settings = {"batch_size": self.batch_size, "stop_on_loop": self.stop_on_loop}
        for limit, places in limits.items():
            bodies = [self._cut(self.slot.body_ids(requests[place].args[0]), self.room - limit) for place in places]
            with packed_weights(self.frozen.network):
                rows = greedy(self.frozen, self.slot, self.vectors, bodies, limit, self.stop_ids, **settings)
            for place, row in zip(places, rows, strict=True):
                ended = bool(row.ids) and row.ids[-1] in self.stop_ids
                ids = row.ids[:-1] if ended else row.ids
                # What was trained to stand before an answer is not part of it, nor a stop string.
                text = self.frozen.tokenizer.decode(ids, skip_special_tokens=True)
                text = text.removeprefix(self.slot.layout.target_prefix)
                until = requests[place].args[1].get("until") or []
                for stop in [until] if isinstance(until, str) else until:
                    text = text.split(stop)[0] if stop else text
                answers[place] = text
                self.cache_hook.add_partial("generate_until", requests[place].args, text)
        return [answers[place] for place in range(len(requests))]

    def _cut(self, body: list[int], width: int) -> list[int]:
        """The last ``width`` tokens of a context that is too long, as HFLM keeps them."""
        if width < 1:
            raise UserError(
                f"the continuation or max_gen_toks leaves no room for an input: the context has {self.room} tokens."
            )
        return body[-width:]

    @torch.inference_mode()
    def _score(self, examples: Sequence[Example]) -> list[tuple[float, bool]]:
        found = {example.id: (0.0, True) for example in examples}
        # Options of one token after the same context (Yes or No) are all read off one pass over it.
        sharing: dict[Hashable, list[Example]] = {}
        for example in examples:
            if example.target:
                key = tuple(example.body) if len(example.target) == 1 else example.id
                sharing.setdefault(key, []).append(example)
        options = {sharers[0].id: sharers for sharers in sharing.values()}
        for micro_batch in MicroBatching().cut(
            len(self.slot.head_ids) + self.slot.k, [each[0] for each in options.values()]
        ):
            hidden = target_hidden(self.frozen, self.slot, self.vectors, micro_batch)
            parted = hidden.split([len(example.target) for example in micro_batch])
            hidden = torch.cat([part for one, part in zip(micro_batch, parted, strict=True) for _ in options[one.id]])
            micro_batch = [example for one in micro_batch for example in options[one.id]]
            targets = torch.tensor([token for example in micro_batch for token in example.target], device=hidden.device)
            values, greedy_hits = [], []
            for logits, wanted in zip(chunked_logits(self.frozen, hidden), targets.split(CHUNK), strict=True):
                values.append(logits.gather(1, wanted[:, None])[:, 0] - logits.logsumexp(dim=1))
                greedy_hits.append(logits.argmax(dim=1) == wanted)
            sizes = [len(example.target) for example in micro_batch]
            parts = zip(micro_batch, torch.cat(values).split(sizes), torch.cat(greedy_hits).split(sizes), strict=True)
            found |= {example.id: (float(value.double().sum()), bool(hit.all())) for example, value, hit in parts}
        return [found[example.id] for example in examples]


def _is_true(value: object) -> bool:
    return str(value).casefold() in ("true", "1", "yes")


def main() -> int:
    """lm-eval's own command line, with the device chosen as everywhere in the suite; an error of its user is one line."""
    words = sys.argv[1:]
    if len(words) > 1 and words[0] not in ("ls", "validate") and not _names_device(words):
        sys.argv += ["--device", "auto"]  # lm-eval's default is cuda:0, also where there is none
    try:
        cli_evaluate()
    except UserError as error:
        return _refuse(str(error))
    except (OSError, TypeError, ValueError) as error:
        if not _is_lm_evals(error):
            raise
        return _refuse(" ".join(str(error).split()))
    return 0


def _names_device(words: Sequence[str]) -> bool:
    """Whether the flags, or the file of flags that they name, say a device."""
    parser = argparse.ArgumentParser(prog="lm-eval", add_help=False)
    parser.add_argument("--device")
    parser.add_argument("--config", "-C", type=Path)
    flags, _ = parser.parse_known_args(words)
    if flags.device or not flags.config:
        return bool(flags.device)
    try:
        return "device" in yaml.safe_load(flags.config.read_text(encoding="utf-8"))
    except (OSError, TypeError, ValueError, yaml.YAMLError):
        return False  # lm-eval says what is wrong with it


def _is_lm_evals(error: BaseException) -> bool:
    """Whether lm-eval raised it, as it does for wrong flags; any other is a fault, and its traceback is wanted."""
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    return place is not None and str(place.tb_frame.f_globals.get("__name__", "")).startswith("lm_eval.")


def _refuse(message: str) -> int:
    print(f"embedgrad_core.lm_eval: {message}", file=sys.stderr)
    return 2
