"""What jobs ask a scheduler for: from the forecast, quickly, without torch, and with one error where no GPUs suffice."""

import argparse
import copy
import json
import math

import pytest
import yaml
from places import ROOT
from transformers import Gemma2Config, GPT2Config, LlamaConfig, Qwen2Config

from embedgrad.commands.arguments import add_decoding_arguments, decoding_from
from embedgrad.planning.access import read_shape
from embedgrad.planning.demand import EXAMPLES, KNOWN, answer_demand, known_shape, rows_at_a_time
from embedgrad.planning.gpus import GPUS
from embedgrad.planning.run_config import RunConfig
from embedgrad_core.files import UserError
from embedgrad_core.model.costs import Shape

PAPER = yaml.safe_load((ROOT / "config/paper.yaml").read_text(encoding="utf-8"))
assert PAPER["optimize"].pop("checkpointing") == "auto"
SCHEMA = yaml.safe_load((ROOT / "embedgrad/schemas/config.schema.yaml").read_text(encoding="utf-8"))
LARGE, MIDDLE, SMALL = "qwen2.5-14b-instruct", "qwen2.5-7b-instruct", "qwen2.5-0.5b-instruct"


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("EMBEDGRAD_MIRROR", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))


def with_keys(**keys):
    values = copy.deepcopy(PAPER)
    for key, value in keys.items():
        part, _, name = key.partition("__")
        if name:
            values[part][name] = value
        else:
            values[part] = value
    return RunConfig.check(values)


def test_the_schema_knows_the_gpus():
    assert SCHEMA["properties"]["gpu"]["enum"] == list(GPUS)


@pytest.mark.parametrize("family", [Qwen2Config, LlamaConfig, Gemma2Config, GPT2Config])
def test_a_config_file_gives_the_shape_that_transformers_reads(family, tmp_path):
    config = family()
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    found = read_shape(tmp_path / "config.json")
    assert found == Shape.of(config)
    assert (found.layers, found.width) == (config.num_hidden_layers, config.hidden_size)
    assert found.tied == config.tie_word_embeddings


def test_what_is_no_decoder_has_no_shape(tmp_path):
    for content in ("{}", "[]", "nothing", '{"hidden_size": 0, "num_attention_heads": 0, "vocab_size": 1}'):
        (tmp_path / "config.json").write_text(content)
        assert read_shape(tmp_path / "config.json") is None


def test_unknown_sizes_are_met_by_more_or_fewer_layers():
    assert known_shape(7.62e9) == KNOWN[7.62]
    for count in (5e7, 2.5e9, 3.2e10, 7e10):
        assert known_shape(count).parameters == pytest.approx(count, rel=0.25)


def test_a_gpu_takes_what_fits_and_several_take_more():
    on_h100, on_a10 = with_keys(gpu="h100"), with_keys(gpu="a10")
    assert on_h100.resources.job(LARGE, True)["gpu"] == 1
    assert on_a10.resources.job(SMALL, True)["gpu"] == 1
    assert on_a10.resources.job(LARGE, True)["gpu"] > 1
    assert "--device-map auto" in on_a10.model_flags(LARGE)
    assert "--device-map" not in on_a10.model_flags(SMALL) + on_h100.model_flags(LARGE)


def test_main_memory_is_not_the_gpus():
    on_cpu, on_gpu = with_keys(device="cpu"), with_keys(gpu="h100")
    assert on_cpu.resources.job(SMALL, True)["gpu"] == 0
    # Layers and batches live on the GPU; main memory holds libraries and passes the weights on.
    assert on_gpu.resources.job(LARGE, True)["mem_mb"] < on_cpu.resources.job(LARGE, True)["mem_mb"]
    assert on_gpu.resources.job(LARGE, True)["mem_mb"] == on_gpu.resources.job(LARGE, False)["mem_mb"]


def test_a_training_that_answers_dev_has_the_memory_to_answer():
    def memory(**keys):
        return with_keys(device="cpu", decode__batch_size=256, **keys).resources.job(SMALL, True)["mem_mb"]

    asked = memory(optimize__dev_accuracy=True)
    assert memory() < asked == memory(optimize__early_stop="dev_accuracy")


def test_no_number_of_gpus_suffices():
    with pytest.raises(UserError) as caught:
        with_keys(gpu="t4", gpus_per_node=1).model_flags(LARGE)
    told = str(caught.value)
    assert told.startswith(f"model {LARGE}: needs ")
    assert "GB on one t4, which has 16 GB; name a larger GPU, raise gpus_per_node" in told
    assert "\n" not in told
    with pytest.raises(UserError, match=r"it needs \d of them: set device_map: auto"):
        with_keys(gpu="t4", device_map="none").model_flags(LARGE)


def test_checkpointing_is_chosen_where_it_is_needed():
    def flags(config, model):
        return "--checkpointing" in config.optimize_flags("imdb", model, 0).split()

    assert not any(flags(with_keys(), model) for model in (SMALL, MIDDLE, LARGE))
    automatic = with_keys(optimize__checkpointing="auto")
    assert [flags(automatic, model) for model in (SMALL, MIDDLE, LARGE)] == [False, True, True]
    assert flags(with_keys(optimize__checkpointing=True), SMALL)
    assert not flags(with_keys(gpu="h100"), MIDDLE)
    assert flags(with_keys(gpu="a10"), MIDDLE)
    assert not flags(with_keys(gpu="a100-40", optimize__checkpointing=False), MIDDLE)


def test_vllm_shares_products_over_gpus():
    four = with_keys(gpu="a10", decode__engine="vllm", decode__tensor_parallel=4)
    assert four.resources.job(LARGE, False)["gpu"] == 4
    assert "--tensor-parallel 4" in four.decode_flags("imdb")
    assert "--tensor-parallel" not in with_keys().decode_flags("imdb")
    assert four.resources.job(LARGE, False)["mem_mb"] > with_keys(gpu="a10").resources.job(LARGE, False)["mem_mb"]
    with pytest.raises(UserError, match=r"vllm engine's: set decode.engine"):
        with_keys(decode__tensor_parallel=2).model_flags(SMALL)
    with pytest.raises(UserError, match=r"16 GPUs, a node has 2"):
        with_keys(decode__engine="vllm", decode__tensor_parallel=16, gpus_per_node=2).model_flags(SMALL)
    with pytest.raises(UserError, match=r"raise decode.tensor_parallel"):
        with_keys(gpu="a10", decode__engine="vllm").model_flags(LARGE)


def test_time_limits_follow_the_forecast_and_not_the_seed():
    fast, slow, unnamed = (with_keys(gpu="h100"), with_keys(gpu="t4"), with_keys())
    cell = {"dataset": "medd", "model": MIDDLE}
    asked = [config.durations.minutes("after", cell) for config in (fast, unnamed, slow)]
    assert asked == sorted(asked)
    assert asked[0] >= 30
    seconds = fast.durations.seconds("after", cell)
    assert asked[0] == pytest.approx(30 + 4 * seconds / 60, abs=1)
    assert fast.durations.minutes("after", cell | {"seed": "7"}) == asked[0]
    ladder = {"task": "medd", "model": MIDDLE}
    assert fast.durations.minutes("baselines", ladder) > asked[0]
    in_parts = with_keys(
        gpu="h100", tasks=PAPER["tasks"] | {"medd": PAPER["tasks"]["medd"] | {"shards": 8}}, decode__block=128
    )
    assert in_parts.durations.minutes("baselines_shard", ladder) < fast.durations.minutes("baselines", ladder)
    on_cpu = with_keys(device="cpu")
    assert on_cpu.durations.minutes("after", cell) > asked[-1]


def test_the_ladders_examples_count_in_what_answering_needs():
    config = with_keys(gpu="h100")
    shape, (work, *_) = config.resources.shape(LARGE), config.resources.works(LARGE)
    least = shape.cache_bytes(16 * (work.prompt + EXAMPLES * (work.input + work.target) + work.input + work.limit), 2)
    assert answer_demand(shape, work, config.values["decode"], 2).spread >= least


# What one model leaves free on one GPU, by hand: 0.8 of its memory, less the weights and 3 GB, over a row's keys and values (512
# tokens and the limit) and five logits in fp32; for up to 16 rows 0.92 of it, less 1.5 GB; down to a power of two.
@pytest.mark.parametrize(
    ("size", "gigabytes", "limit", "rows"),
    [
        (0.494, 80, 512, 256),
        (7.62, 80, 2048, 256),
        (14.77, 80, 512, 128),
        (14.77, 141, 2048, 128),
        (14.77, 40, 512, 16),
        (7.62, 24, 512, 16),
        (7.62, 18, 512, 1),
        (14.77, 24, 512, 1),
    ],
)
def test_rows_of_auto_by_model_gpu_and_limit(size, gigabytes, limit, rows):
    shape = KNOWN[size]
    room, tight = (
        part * gigabytes * 1e9 - shape.parameters * 2 - beside for part, beside in ((0.8, 3e9), (0.92, 1.5e9))
    )
    each = 2 * shape.layers * shape.groups * shape.head_width * (512 + limit) * 2 + 5 * 4 * shape.vocabulary
    by_hand = 2 ** int(math.log2(max(1, min(256, room / each), min(16, tight / each))))
    assert shape.rows_in_flight(gigabytes * 10**9, limit) == by_hand == rows


def test_auto_is_one_number_to_command_and_forecast(frozen):
    """A block bounds it, a CPU takes the usual number, and a number of one's own stands."""
    shape = KNOWN[7.62]
    assert rows_at_a_time({"batch_size": "auto"}, shape, 512, 2, 80 * 10**9) == 256
    assert rows_at_a_time({"batch_size": "auto", "block": 128}, shape, 512, 2, 80 * 10**9) == 128
    assert rows_at_a_time({"batch_size": "auto"}, shape, 512, 2, None) == frozen.rows_in_flight("auto", 512) == 16
    assert rows_at_a_time({"batch_size": 24}, shape, 512, 2, 80 * 10**9) == 24
    arguments = argparse.ArgumentParser()
    add_decoding_arguments(arguments)
    assert decoding_from(arguments.parse_args(["--decode-batch-size", "auto"]), frozen).batch_size == 16
    assert decoding_from(arguments.parse_args(["--decode-batch-size", "5"]), frozen).batch_size == 5


def test_tokens_of_a_step_by_the_memory_of_a_gpu(frozen):
    shape = KNOWN[3.09]
    assert [shape.tokens_in_flight(gb * 10**9) for gb in (16, 24, 80)] == [1024, 2048, 8192]
    assert frozen.tokens_in_flight(False) == 1024, "a CPU's caches hold no more"
