"""TextGrad (Yuksekgonul et al. 2025) and GEPA (Agrawal et al. 2025): the model's own criticism rewrites the prompt.

The frozen model is its own critic. That is the fair setting here, and a weaker one than the papers', whose critics were larger
models: a small one often gives no usable rewriting. Each such reply is counted as "no proposal", not tuned away. Both libraries
call the model through :class:`~embedgrad.rivals.families.critic.Model`, our own greedy decoder; nothing goes over a network.
"""

import contextlib
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from embedgrad.grading import Grading
from embedgrad.rivals.environment import check_library
from embedgrad.rivals.families.critic import Model, Task
from embedgrad.rivals.rival import Rival
from embedgrad_core.files import Item, UserError

ROLE = "the instruction that stands before every input of a task and tells a language model how to answer it"


def search(
    model: Model,
    text: str,
    rival: Rival,
    task: Task,
    log: Callable[[str], None] = print,
) -> tuple[str, list[dict]]:
    """Improve a prompt by the library that the rival's settings name.

    A search that was ended goes on where the model keeps its answers: it takes the same steps again, which cost nothing then.

    Returns:
        The prompt, and a line for each look at dev: dev_accuracy, the proposal or None, calls and generated tokens so far, and
        apart those of dev; train_seconds and train_cpu_seconds, of the model's answers in searching, and seconds, those of dev
        counted in.

    Raises:
        UserError: the library is not installed.
    """
    check_library(rival)
    if rival.library == "gepa":
        return _gepa(model, text, rival, task, log)
    with _quiet_textgrad():
        return _textgrad(model, text, rival, task, log)


def _textgrad(model: Model, text: str, rival: Rival, task: Task, log: Callable[[str], None]) -> tuple[str, list[dict]]:
    """Steps of textual gradient descent; as in the authors' evaluation, a new prompt stays if accuracy on dev does not fall."""
    prompt, history = text, list[dict]()
    while len(history) <= rival.settings["steps"]:
        proposal = None
        if history:
            with _numbered_variables():
                proposal = _textgrad_step(
                    model, prompt, task.batch(len(history), rival.settings["batch"]), task.grading
                )
        accuracy = None if history and proposal is None else model.accuracy(proposal or prompt, task)
        best = max((line["dev_accuracy"] for line in history if line["dev_accuracy"] is not None), default=-1.0)
        if accuracy is not None and accuracy >= best:
            prompt = proposal or prompt
        line = _line(model, history, accuracy, proposal, prompt)
        history.append(line | {"best": accuracy is not None and accuracy >= best})
        said = "no proposal" if history[1:] and proposal is None else f"dev accuracy {accuracy:.3f}"
        log(
            f"{rival.name}, step {line['epoch']} of {rival.settings['steps']}: {said}, {model.search.tokens} tokens so far"
        )
    return prompt, history


def _textgrad_step(model: Model, text: str, batch: Sequence[Item], grading: Grading) -> str | None:
    """Answers, their grades, criticism of the prompt for each, one rewriting; None where the reply holds none."""
    import textgrad
    from textgrad.autograd.llm_ops import FormattedLLMCall
    from textgrad.autograd.string_based_ops import StringBasedFunction

    class Engine(textgrad.EngineLM):
        model_string = "the frozen model"

        def generate(self, prompt: str, system_prompt: str | None = None, **_: Any) -> str:
            return model.ask(prompt, system_prompt or "")

        __call__ = generate

    class Whole(textgrad.Variable):
        def get_short_value(self, n_words_offset: int = 10) -> str:
            """All of it: the library shows the optimizer ten words from each end (https://github.com/zou-group/textgrad/issues/156)."""
            return str(self.value)

    engine, prompt = Engine(), Whole(text, requires_grad=True, role_description=ROLE)
    ask = FormattedLLMCall(engine, "{prompt}{question}", {"prompt": {}, "question": {}})
    grade = StringBasedFunction(
        lambda prediction, answer: str(int(grading.grade(prediction.value, answer.value).status == "correct")),
        function_purpose="1 if the prediction is the right answer, 0 if it is not",
    )
    answers, losses = model.answers(text, batch), []
    for item in batch:
        question = f"{model.layout.separator}{item.input}"
        model.primed[text + question] = answers[item.id]
        asked = textgrad.Variable(question, requires_grad=False, role_description="the input of the task")
        prediction = ask({"prompt": prompt, "question": asked}, response_role_description="the model's answer")
        right = textgrad.Variable(item.answer, requires_grad=False, role_description="the right answer")
        losses.append(grade({"prediction": prediction, "answer": right}))
    model.primed.clear()
    textgrad.sum(losses).backward(engine=engine)
    try:
        textgrad.TGD([prompt], engine=engine).step()
    except IndexError:  # no tags around a new prompt (https://github.com/zou-group/textgrad/issues/15)
        return None
    return model.usable(str(prompt.value))


@contextlib.contextmanager
def _numbered_variables() -> Iterator[None]:
    """Within the block TextGrad's sets of variables have an order that does not change from run to run.

    It is that of memory addresses otherwise: the criticism of several answers is asked for and joined in another order each time.
    """
    import textgrad

    variable: Any = textgrad.Variable
    numbers, begin = itertools.count(), variable.__init__

    def begin_numbered(self: Any, *arguments: Any, **named: Any) -> None:
        self.number = next(numbers)
        begin(self, *arguments, **named)

    variable.__init__, variable.__hash__ = begin_numbered, lambda self: self.number
    try:
        yield
    finally:
        variable.__init__, variable.__hash__ = begin, object.__hash__


@contextlib.contextmanager
def _quiet_textgrad() -> Iterator[None]:
    """On import the library asks the network for prices, and makes a folder for logs where it is run."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        os.environ.setdefault("TEXTGRAD_LOG_DIR", folder)
        yield


def _gepa(model: Model, text: str, rival: Rival, task: Task, log: Callable[[str], None]) -> tuple[str, list[dict]]:
    """One run of reflective evolution; the budget is a number of graded answers."""
    import gepa

    class Logger:
        def log(self, message: str) -> None:
            log(f"{rival.name}: {' '.join(message.split())[:160]}")

    def reflect(prompt: str | list[dict[str, Any]]) -> str:
        return model.ask(prompt if isinstance(prompt, str) else "\n\n".join(str(turn["content"]) for turn in prompt))

    found = gepa.optimize(
        {"prompt": text},
        trainset=list(task.train),
        valset=list(task.dev),
        adapter=_Adapter(model, task),
        reflection_lm=reflect,
        reflection_minibatch_size=rival.settings["batch"],
        max_metric_calls=rival.settings["graded_answers"],
        seed=task.seed,
        logger=Logger(),
    )
    scores = [float(score) for score in found.val_aggregate_scores]
    # Its first candidate is the human prompt, whose look at dev is the one of line 0; when it took place is not told apart.
    best = model.usable(str(found.best_candidate["prompt"])) or text
    is_new = best != text
    history = [
        _line(Model(model.frozen, model.layout, model.decoding), [], scores[0], None, text) | {"best": not is_new}
    ]
    line = _line(model, history, scores[found.best_idx] if is_new else scores[0], best if is_new else None, best)
    return best, [*history, line | {"best": is_new, "candidates": len(found.candidates)}]


def _line(model: Model, history: Sequence[dict], accuracy: float | None, proposal: str | None, prompt: str) -> dict:
    """A line of the history: all that the model has been asked since the line before."""
    search, dev = model.search, model.dev
    trained = search.seconds - sum(line["train_seconds"] for line in history)
    return {
        "epoch": len(history),
        "dev_accuracy": accuracy,
        "dev_loss": None,
        "proposal": proposal,
        "calls": search.calls,
        "generated_tokens": search.tokens,
        "dev_calls": dev.calls,
        "dev_tokens": dev.tokens,
        "train_seconds": round(trained, 3),
        "train_cpu_seconds": round(search.cpu_seconds - sum(line["train_cpu_seconds"] for line in history), 3),
        "seconds": round(search.seconds + dev.seconds - sum(line["seconds"] for line in history), 3),
        "text": prompt,
    }


class _Adapter:
    """What GEPA asks of a system: grade a prompt on items, and say in words how it did."""

    propose_new_texts = None

    def __init__(self, model: Model, task: Task) -> None:
        self.model, self.grading, self.dev = model, task.grading, {item.id for item in task.dev}

    def evaluate(self, batch: list[Item], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        """Grades of a batch, answered together; a prompt that leaves no room for the inputs has all wrong."""
        from gepa import EvaluationBatch

        spent = self.model.dev if all(item.id in self.dev for item in batch) else self.model.search
        try:
            answers = self.model.answers(candidate["prompt"], batch, spent)
        except UserError:
            answers = dict.fromkeys((item.id for item in batch), "")
        outputs = [answers[item.id] for item in batch]
        right = [
            self.grading.grade(output, item.answer).status == "correct"
            for output, item in zip(outputs, batch, strict=True)
        ]
        traces = list(zip(batch, outputs, right, strict=True)) if capture_traces else None
        return EvaluationBatch(outputs=outputs, scores=[float(one) for one in right], trajectories=traces)

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Input, answer and whether it was right."""
        records = [
            {
                "Inputs": item.input,
                "Generated Outputs": output,
                "Feedback": "right" if right else f"wrong; the right answer is {item.answer}",
            }
            for item, output, right in eval_batch.trajectories
        ]
        return dict.fromkeys(components_to_update, records)
