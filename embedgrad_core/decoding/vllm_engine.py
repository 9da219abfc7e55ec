"""The vLLM engine: greedy decoding of prompt embeddings by vLLM (https://docs.vllm.ai/en/stable/features/prompt_embeds.html).

An extra, for speed. vLLM loads the same weights itself and continues ``[head, vectors, body]`` given as embeddings. Eq. 11
is measured inside it, on the raw logits of each step, by a logits processor that changes nothing
(:mod:`~embedgrad_core.decoding.vllm_entropy`): no second model and no scoring pass. Where a row's entropies did not arrive one for
each token, the frozen model scores that row (:mod:`~embedgrad_core.decoding.scoring`).
"""

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch

from embedgrad_core.decoding.greedy import Row
from embedgrad_core.decoding.scoring import forced_entropies
from embedgrad_core.decoding.settings import LoopRule, is_loop
from embedgrad_core.files import UserError, reason_of
from embedgrad_core.layout import Slot
from embedgrad_core.model.frozen import FrozenModel

# Where the processes of each vLLM write their entropies.
_folders: "weakref.WeakKeyDictionary[Any, str]" = weakref.WeakKeyDictionary()


def vllm_greedy(
    frozen: FrozenModel,
    slot: Slot,
    vectors: torch.Tensor,
    bodies: Sequence[list[int]],
    max_new_tokens: int | Sequence[int],
    stop_ids: Sequence[int],
    *,
    batch_size: int = 16,
    stop_on_loop: LoopRule | None = None,
    on_end: Callable[[Row], None] = lambda row: None,
    llm: Any = None,
) -> list[Row]:
    """As :func:`embedgrad_core.decoding.greedy.greedy`, by vLLM.

    ``max_new_tokens`` may be one limit for each row. ``stop_on_loop`` saves no time here: the answer is cut where the native engine
    would have ended it.

    Raises:
        UserError: vLLM is not installed, or refuses the model.
    """
    limits = [max_new_tokens] * len(bodies) if isinstance(max_new_tokens, int) else list(max_new_tokens)
    with torch.inference_mode():
        head = frozen.embed(torch.tensor(slot.head_ids, dtype=torch.long))
        shared = torch.cat([head, vectors.to(frozen.device, frozen.dtype)])
        prompts = [
            torch.cat([shared, frozen.embed(torch.tensor(body, dtype=torch.long))]).clone().cpu() for body in bodies
        ]
    longest = max(len(prompt) + limit for prompt, limit in zip(prompts, limits, strict=True))
    llm = llm or load_vllm(frozen, longest, batch_size)
    from vllm import SamplingParams

    from embedgrad_core.decoding.vllm_entropy import ROW, collect

    settings = [
        # ignore_eos: the end tokens are those of our stop rule, not what vLLM reads from the checkpoint.
        SamplingParams(
            temperature=0,
            max_tokens=limit,
            stop_token_ids=list(stop_ids),
            ignore_eos=True,
            detokenize=False,
            extra_args={ROW: row},
        )
        for row, limit in enumerate(limits)
    ]
    collect(_folders[llm])  # of a call that was interrupted
    answers = llm.generate([{"prompt_embeds": prompt} for prompt in prompts], settings, use_tqdm=False)
    bits = collect(_folders[llm])
    rows = [Row(row, list(answer.outputs[0].token_ids), bits.get(row, [])) for row, answer in enumerate(answers)]
    for row in rows:
        if len(row.bits) != len(row.ids):
            row.bits = forced_entropies(frozen, slot, vectors, [bodies[row.index]], [row.ids])[0]
        if stop_on_loop:
            _cut_at_loop(row, stop_on_loop)
        on_end(row)
    return rows


def load_vllm(frozen: FrozenModel, max_tokens: int, batch_size: int, tensor_parallel: int | None = None) -> Any:
    """A ``vllm.LLM`` of the same weights that takes embeddings, over ``tensor_parallel`` GPUs.

    Raises:
        UserError: vLLM is not installed, or refuses the model.
    """
    # In this process: a second one takes seconds more to come up.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    try:
        from vllm import LLM
    except ImportError as error:
        raise UserError(
            f"engine vllm: vLLM cannot be imported ({error}); install it as docs/performance.md says, or use engine native."
        ) from None
    from embedgrad_core.decoding.vllm_entropy import FOLDER, NAME

    os.environ[FOLDER] = folder = tempfile.mkdtemp(prefix="embedgrad-entropies-")
    on_gpu = torch.cuda.is_available()
    if frozen.device.type == "cuda":
        frozen.network.cpu()  # vLLM brings a copy of its own; the GPU need not hold two
        torch.cuda.empty_cache()
    try:
        llm = LLM(
            model=frozen.name,
            revision=None if frozen.revision == "main" else frozen.revision,
            dtype=str(frozen.dtype).removeprefix("torch."),
            skip_tokenizer_init=True,
            enable_prompt_embeds=True,
            generation_config="vllm",  # the checkpoint's own repetition penalty and temperature are not consulted
            max_model_len=max_tokens,
            max_num_seqs=batch_size,
            enforce_eager=not on_gpu,
            async_scheduling=False,  # a step beyond the end of a row would add an entropy that belongs to no token
            logits_processors=[NAME],
            **({"tensor_parallel_size": tensor_parallel} if tensor_parallel else {}),
        )
    except (ValueError, RuntimeError, NotImplementedError, AssertionError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise UserError(f"engine vllm: vLLM refuses {frozen.name} ({reason_of(error)}); use engine native.") from error
    _folders[llm] = folder
    weakref.finalize(llm, shutil.rmtree, folder, ignore_errors=True)
    return llm


def _cut_at_loop(row: Row, rule: LoopRule) -> None:
    for length in range(rule.tokens, len(row.ids)):
        if is_loop(row.ids[:length], rule):
            row.ids, row.bits, row.looped = row.ids[:length], row.bits[:length], True
            return
