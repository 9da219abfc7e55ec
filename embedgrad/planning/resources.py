"""What the jobs of a workflow ask a scheduler for, from the configuration alone: GPUs, main memory, minutes.

Read by Snakemake while it plans: no torch, no network, each model looked at once. Hence what libraries take and how long they
are imported is assumed here, from above, and not measured as in ``embedgrad plan`` (:mod:`embedgrad.planning.baseline`): that takes
as long as a job's start, a dry run two seconds, and what jobs ask for must not depend on the machine that plans, where they may
never run.
"""

import os
from functools import cache
from math import ceil
from pathlib import Path

from embedgrad.config import Config
from embedgrad.planning.access import hub_home, read_shape, shape_of_pretraining
from embedgrad.planning.demand import (
    SPARE,
    WIDTHS,
    Demand,
    answer_demand,
    answer_on_cpu,
    bytes_a_part,
    gpus_needed,
    known_shape,
    largest,
    step_demand,
    step_on_cpu,
    tuning_on_cpu,
)
from embedgrad.planning.effort.rivals import asked
from embedgrad.planning.gpus import UNNAMED, Machine, gpu_bytes, named_gpu, some_cpu
from embedgrad.planning.work import Work, work_of
from embedgrad.rivals.rival import Rival
from embedgrad_core.files import UserError
from embedgrad_core.model.costs import LIBRARIES, Shape
from embedgrad_core.training.settings import answers_dev

# A scheduler kills what exceeds its request: longer items than the mean suggests, another allocator.
MARGIN = 1.25
# The job's own Snakemake, in bytes: its imports alone took 212 MB on one machine, and the graph of jobs comes on top.
SNAKEMAKE = 300 * 10**6
# Main memory that CUDA's libraries take. An assumption: no GPU was at hand.
CUDA_LIBRARIES = 3 * 10**9
# Parameters from which `checkpointing: auto` computes activations again.
LARGE = 7e9
MOST_GPUS = 8


class Resources:
    """The needs of a configuration's jobs, on its own GPU or on ``gpu``.

    Raises:
        UserError: a GPU that is not known, or tensor parallelism that this engine or a node does not have.
    """

    def __init__(self, config: Config, gpu: str | None = None) -> None:
        self.config, self.values = config, config.values
        self.device = self.values.get("device", "auto")
        self.gpu = None if self.device == "cpu" and not gpu else gpu or self.values.get("gpu")
        self.gpu_bytes = gpu_bytes(self.gpu) if self.gpu else 0
        self.most = self.values.get("gpus_per_node", MOST_GPUS)
        self.parts = self.values["decode"].get("tensor_parallel", 1)
        self.by_vllm = self.values["decode"].get("engine") == "vllm"
        if self.parts > 1 and not self.by_vllm:
            raise UserError("decode.tensor_parallel is the vllm engine's: set decode.engine: vllm, or leave it out.")
        if self.parts > self.most:
            raise UserError(f"decode.tensor_parallel: {self.parts} GPUs, a node has {self.most} (gpus_per_node).")
        optimize = self.values["optimize"]
        self.answers_dev = answers_dev(optimize.get("dev_accuracy"), optimize.get("early_stop"))
        self.shape, self.works, self.gpus = cache(self._shape), cache(self._works), cache(self._gpus)
        self.checkpointing, self.job = cache(self._checkpointing), cache(self._job)

    def _shape(self, model: str) -> Shape:
        spec = self.values["models"][model]
        if "pretrain" in spec:
            return shape_of_pretraining(spec["pretrain"])
        folder = self.config.model_folder(model) or _cached(spec["hub"], spec.get("revision", "main"))
        return (folder and read_shape(Path(folder, "config.json"))) or known_shape(spec["parameters"])

    def _works(self, model: str) -> list[Work]:
        """Each task that a selected cell or the sweep has with the model."""
        beside = [*self.config.sensitivity, *self.config.rivals, *self.config.carry]
        cells = [*self.config.cells, *(cell for cell, _ in beside)]
        tasks = dict.fromkeys(cell.task for cell in cells if cell.model == model)
        return [
            work_of(task, self.values["tasks"][task], self.values["split"], None, self.shape(model).vocabulary)
            for task in tasks or dict.fromkeys(cell.task for cell in self.config.table if cell.model == model)
        ]

    def width(self, model: str) -> int:
        """Bytes of a weight: ``auto`` is bf16 on a GPU and fp32 on a CPU."""
        on_gpu = self.gpu or self.device.startswith("cuda")
        return WIDTHS.get(self.values["models"][model]["dtype"], 2 if on_gpu else 4)

    def _demands(self, model: str, training: bool, checkpointing: bool) -> list[Demand]:
        """Of the model's tasks, on a GPU; the weights alone if it has none."""
        shape, width = self.shape(model), self.width(model)
        found = [Demand(0, 0)]
        for work in self.works(model):
            if training:
                found.append(step_demand(shape, work, self.values["optimize"], width, checkpointing))
            if not training or self.answers_dev:
                found.append(answer_demand(shape, work, self.values["decode"], width))
        return found

    def _needed(self, model: str, checkpointing: bool) -> int | None:
        demands = self._demands(model, True, checkpointing)
        return gpus_needed(self.shape(model), self.width(model), demands, self.gpu_bytes, self.most)

    def _checkpointing(self, model: str) -> bool:
        setting = self.values["optimize"].get("checkpointing")
        if isinstance(setting, bool):
            return setting
        if not self.gpu:
            return setting == "auto" and self.values["models"][model]["parameters"] >= LARGE
        plain, less = self._needed(model, False), self._needed(model, True)
        return less is not None and (plain is None or less < plain)

    def _gpus(self, model: str, training: bool) -> int:
        """GPUs of a job: 0 on a CPU, 1 where no GPU is named.

        Raises:
            UserError: all GPUs of a node do not hold it, or the configuration keeps it on fewer than it needs.
        """
        if self.device == "cpu" and not self.gpu:
            return 0
        parts, by_vllm = self.parts, self.by_vllm and not training
        if not self.gpu:
            return parts if by_vllm else 1
        shape, width = self.shape(model), self.width(model)
        demands = self._demands(model, training, training and self.checkpointing(model))
        room = SPARE * self.gpu_bytes
        if by_vllm:
            needs = max(bytes_a_part(shape, width, demand, parts) for demand in demands)
            if needs <= room:
                return parts
            todo = "raise decode.tensor_parallel, name a larger GPU or leave its cells out (--config cells=…)"
            raise self._too_large(model, needs, parts, todo)
        count = gpus_needed(shape, width, demands, self.gpu_bytes, self.most)
        if count is None:
            needs = largest(shape, width, demands, self.most)
            todo = "name a larger GPU, raise gpus_per_node or leave its cells out (--config cells=…)"
            raise self._too_large(model, needs, self.most, todo)
        if count > 1 and self.values.get("device_map") == "none":
            needs = largest(shape, width, demands, 1)
            todo = f"it needs {count} of them: set device_map: auto, or name a larger GPU"
            raise self._too_large(model, needs, 1, todo)
        return count

    def _too_large(self, model: str, needs: int, count: int, todo: str) -> UserError:
        each, memory = f"on each of {count}" if count > 1 else "on one", self.gpu_bytes / 1e9
        return UserError(
            f"model {model}: needs {needs / 1e9:.1f} GB {each} {self.gpu}, which has {memory:.0f} GB; {todo}."
        )

    def device_map(self, model: str) -> str | None:
        """How the model is split: as configured, or ``auto`` where the named GPU is too small for one of its jobs."""
        chosen = self.values.get("device_map")
        if chosen:
            return None if chosen == "none" else chosen
        return "auto" if self.gpu and max(self.gpus(model, True), self.native_gpus(model)) > 1 else None

    def native_gpus(self, model: str) -> int:
        """GPUs of answering where layers are spread; vLLM splits by itself."""
        return 1 if self.by_vllm else self.gpus(model, False)

    def _job(self, model: str, training: bool) -> dict[str, int]:
        """What a job asks for: gpu (GPUs), mem_mb."""
        shape, width, works = self.shape(model), self.width(model), self.works(model)
        gpus = self.gpus(model, training)
        libraries = LIBRARIES + CUDA_LIBRARIES + shape.tokenizer_bytes()
        main = libraries + shape.loading_bytes(width) if gpus else 0
        if self.parts > 1 and not training:  # the whole model stays in main memory beside vLLM's
            main += shape.weight_bytes(width)
        if not (self.gpu or self.device.startswith("cuda")):  # it may run on a CPU
            optimize, decode = self.values["optimize"], self.values["decode"]
            for work in works:
                if training:
                    main = max(main, step_on_cpu(shape, work, optimize, width, self.checkpointing(model)))
                if not training or self.answers_dev:
                    main = max(main, answer_on_cpu(shape, work, decode, width))
        return {"gpu": gpus, "mem_mb": _megabytes(main)}

    def rival_job(self, model: str, rival: Rival, rule: str) -> dict[str, int]:
        """The same of a rival's job: all weights with their moments, many examples, and requests that quote answers take more.

        Args:
            model: its name.
            rival: name and settings.
            rule: ``rival_rate``, ``rival_fit``, ``rival_answer`` or ``rival_cost``, which answers one row at a time.
        """
        shape, width, fits = self.shape(model), self.width(model), rule in ("rival_rate", "rival_fit")
        found = self.job(model, fits)
        if found["gpu"]:
            return found
        decode = self.values["decode"] | ({"batch_size": 1} if rule == "rival_cost" else {})
        main, full = [0], rival.settings.get("method") == "full"
        if fits and full:
            optimize, again = self.values["optimize"], self.checkpointing(model)
            main += [tuning_on_cpu(shape, work, optimize, again) for work in self.works(model)]
        if not fits or rival.family == "feedback":
            main += [answer_on_cpu(shape, asked(rival, work), decode, width) for work in self.works(model)]
        # The stored weights lie beside those that they take the place of.
        beside = shape.weight_bytes(4) if full and not fits else 0
        return found | {"mem_mb": max(found["mem_mb"], _megabytes(max(main) + beside))}

    def machine(self, has_gpus: bool) -> Machine:
        """What a job is taken to run on: the named GPU; else a middling one, or a slow CPU where there is or shall be none."""
        if self.gpu or (has_gpus and self.device != "cpu"):
            return named_gpu(self.gpu or UNNAMED)
        return some_cpu(self.values.get("threads", 4))


def _megabytes(main: float) -> int:
    """What a scheduler is asked for, of a job that takes ``main`` bytes."""
    return ceil((main * MARGIN + SNAKEMAKE) / 1e8) * 100


def _cached(hub_id: str, revision: str) -> Path | None:
    """The snapshot of a hub model in the local cache, found without the hub's client."""
    place = Path(os.environ.get("HF_HUB_CACHE", hub_home() / "hub")) / f"models--{hub_id.replace('/', '--')}"
    named = place / "refs" / revision
    commit = named.read_text(encoding="utf-8").strip() if named.is_file() else revision
    folder = place / "snapshots" / commit
    return folder if folder.is_dir() else None
