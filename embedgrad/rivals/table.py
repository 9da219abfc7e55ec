"""All rivals, with the grid of learning rates of each: the dev split chooses one, the same number of tries for everyone.

The middle of a grid is what the method's paper or its authors' files give where they give one for a model of this kind; best rates
differ by a factor of 300 between methods, so that one rate for all would decide who wins.
"""

from embedgrad.rivals.rival import Rival
from embedgrad_core.files import UserError

QV, ALL = ("q_proj", "v_proj"), ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

_RIVALS = (
    # EmbedGrad under its rivals' harness: the null control.
    Rival("prompt_tuning_text", "soft_prompts", "Lester et al. 2021", (1e-3, 3e-3, 1e-2, 3e-2), {"start": "text"}),
    Rival("prompt_tuning_random", "soft_prompts", "Lester et al. 2021", (1e-2, 3e-2, 0.1, 0.3), {"start": "random"}),
    Rival(
        "prompt_tuning_vocabulary",
        "soft_prompts",
        "Lester et al. 2021",
        (1e-3, 3e-3, 1e-2, 3e-2),
        {"start": "vocabulary"},
    ),
    Rival("prompt_tuning_labels", "soft_prompts", "Lester et al. 2021", (1e-3, 3e-3, 1e-2, 3e-2), {"start": "labels"}),
    # hidden 0: as wide as the model.
    Rival(
        "p_tuning_lstm",
        "soft_prompts",
        "Liu et al. 2021",
        (1e-4, 3e-4, 1e-3, 3e-3),
        {"encoder": "LSTM", "hidden": 0},
        library="peft",
    ),
    Rival(
        "p_tuning_mlp",
        "soft_prompts",
        "Liu et al. 2021",
        (1e-4, 3e-4, 1e-3, 3e-3),
        {"encoder": "MLP", "hidden": 0},
        library="peft",
    ),
    # length 0: as many positions as the prompt has tokens; projection: width of the MLP, 0 for none.
    Rival(
        "prefix_tuning",
        "prefixes",
        "Li and Liang 2021",
        (1e-4, 5e-4, 2e-3, 1e-2),
        {"start": "random", "projection": 512, "length": 0},
        library="peft",
    ),
    Rival(
        "p_tuning_v2",
        "prefixes",
        "Liu et al. 2022",
        (3e-3, 1e-2, 3e-2, 0.1),
        {"start": "random", "projection": 0, "length": 0},
        library="peft",
    ),
    Rival("prefix_text", "prefixes", "EmbedGrad, one level deeper", (3e-4, 1e-3, 3e-3, 1e-2), {"start": "text"}),
    Rival(
        "lora",
        "weights",
        "Hu et al. 2022",
        (1e-4, 3e-4, 1e-3, 3e-3),
        {"method": "lora", "rank": 8, "alpha": 16, "targets": QV},
        library="peft",
    ),
    Rival(
        "qlora",
        "weights",
        "Dettmers et al. 2023",
        (1e-4, 3e-4, 1e-3, 3e-3),
        {"method": "lora", "rank": 8, "alpha": 16, "targets": ALL, "quantisation": "nf4"},
        library="peft",
    ),
    Rival(
        "adalora",
        "weights",
        "Zhang et al. 2023",
        (3e-4, 1e-3, 3e-3, 1e-2),
        {"method": "adalora", "rank": 4, "alpha": 16, "targets": ALL},
        library="peft",
    ),
    Rival(
        "dora",
        "weights",
        "Liu et al. 2024",
        (1e-4, 3e-4, 1e-3, 3e-3),
        {"method": "dora", "rank": 8, "alpha": 16, "targets": QV},
        library="peft",
    ),
    Rival("ia3", "weights", "Liu et al. 2022", (3e-3, 1e-2, 3e-2, 0.1), {"method": "ia3"}, library="peft"),
    # reduction: the model's width over the adapter's; drop: share of the layers, from the first, that have none; robust: each step
    # leaves out another number of them, and answering that share. adapter_fusion needs training items of several levels.
    Rival(
        "houlsby",
        "bottlenecks",
        "Houlsby et al. 2019",
        (1e-4, 3e-4, 1e-3, 3e-3),
        {"config": "houlsby", "reduction": 16},
        "adapters",
    ),
    Rival(
        "pfeiffer",
        "bottlenecks",
        "Pfeiffer et al. 2021",
        (1e-4, 3e-4, 1e-3, 3e-3),
        {"config": "pfeiffer", "reduction": 16},
        "adapters",
    ),
    Rival(
        "adapter_drop",
        "bottlenecks",
        "Rücklé et al. 2021",
        (1e-4, 3e-4, 1e-3, 3e-3),
        {"config": "pfeiffer", "reduction": 16, "drop": 0.5, "robust": False},
        "adapters",
    ),
    Rival(
        "adapter_drop_robust",
        "bottlenecks",
        "Rücklé et al. 2021",
        (1e-4, 3e-4, 1e-3, 3e-3),
        {"config": "pfeiffer", "reduction": 16, "drop": 0.5, "robust": True},
        "adapters",
    ),
    Rival(
        "adapter_fusion",
        "bottlenecks",
        "Pfeiffer et al. 2021",
        (1e-4, 3e-4, 1e-3, 3e-3),
        {"config": "pfeiffer", "reduction": 16, "fuse": "levels"},
        "adapters",
    ),
    Rival("fine_tuning", "weights", "all weights", (1e-6, 3e-6, 1e-5, 3e-5), {"method": "full"}),
    # positions one: the best candidates at one random position a step; all: random ones of the top at every position.
    Rival("autoprompt", "token_search", "Shin et al. 2020", (), {"positions": "one", "candidates": 10, "top": 0}),
    Rival("gcg", "token_search", "Zou et al. 2023", (), {"positions": "all", "candidates": 16, "top": 256}),
    Rival(
        "textgrad",
        "feedback",
        "Yuksekgonul et al. 2025",
        (),
        {"batch": 3, "steps": 12},
        library="textgrad",
    ),
    Rival(
        "gepa",
        "feedback",
        "Agrawal et al. 2025",
        (),
        {"batch": 3, "graded_answers": 600},
        library="gepa",
    ),
    Rival("few_shot_1", "at_test_time", "Brown et al. 2020", (), {"method": "few_shot", "shots": 1}),
    Rival("few_shot_4", "at_test_time", "Brown et al. 2020", (), {"method": "few_shot", "shots": 4}),
    Rival("few_shot_16", "at_test_time", "Brown et al. 2020", (), {"method": "few_shot", "shots": 16}),
    Rival("self_refine_1", "at_test_time", "Madaan et al. 2023", (), {"method": "self_refine", "rounds": 1}),
    Rival("self_refine_4", "at_test_time", "Madaan et al. 2023", (), {"method": "self_refine", "rounds": 4}),
)
GRADIENT = ("soft_prompts", "prefixes", "weights", "bottlenecks")  # families that train by rates
TEXTS = ("token_search", "feedback")  # families whose result is another prompt in words
RIVALS = {rival.name: rival for rival in _RIVALS}
CONTROL = "prompt_tuning_text"  # EmbedGrad under the other methods' harness (embedgrad.rivals.control)


def rival_named(name: str) -> Rival:
    """The rival of that name.

    Raises:
        UserError: there is none; names those there are.
    """
    if name not in RIVALS:
        raise UserError(f"rival {name!r} is not known; there are {', '.join(RIVALS)}.")
    return RIVALS[name]
