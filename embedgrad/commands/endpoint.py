"""Arguments of `embedgrad evaluate` for a text prompt on a model behind an OpenAI-compatible server."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from embedgrad.commands.arguments import own_items_from, with_line_breaks
from embedgrad.commands.checked import some_text, text_of_file, whole
from embedgrad.commands.output import aside
from embedgrad_core.files import UserError

if TYPE_CHECKING:
    from embedgrad.endpoint.cost import Prices
    from embedgrad.evaluation import Evaluation

# Of `embedgrad evaluate`, what a server has no use for.
_NOT_HERE = (
    "prompt_file",
    "keep_seen",
    "revision",
    "sha256",
    "dequantised_from",
    "engine",
    "decode_batch_size",
    "threads",
)


def add_endpoint_arguments(parser: argparse.ArgumentParser) -> list[str]:
    """--endpoint and what goes with it.

    Returns:
        The names of all that goes with it.
    """
    group = parser.add_argument_group(
        "endpoint", "a text prompt on an OpenAI-compatible server (docs/howto/endpoint.md)"
    )
    group.add_argument(
        "--endpoint", metavar="URL", help="such as https://api.openai.com/v1; --model is the server's name for it"
    )
    group.add_argument(
        "--prompt", dest="texts", action="append", type=some_text, help="the text prompt, verbatim; twice: compare"
    )
    group.add_argument(
        "--prompt-text-file",
        dest="texts",
        action="extend",
        nargs="+",
        type=text_of_file,
        metavar="FILE",
        help="the same, read from UTF-8 files; two of them are compared item by item",
    )
    group.add_argument("--layout", choices=["chat", "bare"], default="chat", help="chat completions, or completions")
    group.add_argument("--separator", type=with_line_breaks, default=" ", help="between prompt and input")
    group.add_argument("--suffix", type=with_line_breaks, default="", help="after the input")
    group.add_argument(
        "--system-message", type=with_line_breaks, default="", help="chat: the system message; default: none"
    )
    group.add_argument("--slot", choices=["user", "system"], default="user", help="chat: where the prompt goes")
    group.add_argument("--request", metavar="JSON", help="more fields of each request; null takes one away")
    group.add_argument(
        "--key-variable", metavar="NAME", help="environment variable of the key; default: OPENAI_API_KEY"
    )
    group.add_argument("--allow-other-model", action="store_true", help="take answers of another model than --model")
    group.add_argument("--requests-per-minute", type=_positive, metavar="N", help="retries included; default: no bound")
    group.add_argument("--concurrency", type=whole(1, 256), default=4, help="requests under way at a time")
    group.add_argument("--timeout", type=_positive, default=120.0, metavar="SECONDS", help="for one request")
    group.add_argument("--attempts", type=whole(1, 100), default=8, help="for one question, before the run ends")
    group.add_argument(
        "--answers", type=Path, metavar="FOLDER", help="where answers are kept; default: in ~/.cache/embedgrad"
    )
    group.add_argument("--tokenizer", help="folder or cached hub id, to count tokens; default: characters / 4")
    group.add_argument(
        "--price-per-million-tokens",
        dest="prices",
        type=_prices,
        metavar="IN,OUT",
        help="for the estimate, e.g. 0.15,0.6",
    )
    group.add_argument(
        "--max-cost", type=_positive, metavar="X", help="refuse to spend more, in the currency of the prices"
    )
    group.add_argument("--yes", action="store_true", help="send without a bound; the estimate is printed all the same")
    return [action.dest for action in group._group_actions]


def check_endpoint(arguments: argparse.Namespace, names: list[str], parser: argparse.ArgumentParser) -> None:
    """Check that the arguments are all about a prompt file, or all about an endpoint.

    Raises:
        UserError: they are not; names one.
    """
    there = [name for name in names if getattr(arguments, name) != parser.get_default(name)]
    if not arguments.endpoint:
        if there:
            raise UserError(f"--{_flag(there[0])} is for --endpoint; give both or neither.")
        if not arguments.prompt_file:
            raise UserError("give --prompt-file, or --endpoint with --prompt or --prompt-text-file.")
        return
    if other := [name for name in _NOT_HERE if getattr(arguments, name) != parser.get_default(name)]:
        raise UserError(
            f"--{_flag(other[0])} means nothing to a server, which takes text alone; leave it or --endpoint out."
        )
    if not arguments.model or not arguments.texts:
        raise UserError("--endpoint needs --model, as the server calls it, and --prompt or --prompt-text-file.")
    if len(arguments.texts) > 2:
        raise UserError(f"{len(arguments.texts)} prompts were given; one is measured, two are compared.")


def evaluate_endpoint(arguments: argparse.Namespace) -> "Evaluation":
    """Ask the server, grade, compare.

    Raises:
        UserError: anything about data, address, key or cost; the server refuses or fails.
    """
    from embedgrad.endpoint.address import Address, Key
    from embedgrad.endpoint.client import Client
    from embedgrad.endpoint.cost import estimate, tokenizer_at_hand
    from embedgrad.endpoint.kept import KeptAnswers, default_folder
    from embedgrad.endpoint.measure import Session, check_consent
    from embedgrad.endpoint.questions import Asking, extra_fields
    from embedgrad.grading import labels_of, make_grading
    from embedgrad_core.decoding.settings import LIMIT
    from embedgrad_core.layout import Layout

    grading = make_grading(arguments.evaluator, None if arguments.labels is None else labels_of(arguments.labels))
    address, key = Address.of(arguments.endpoint), Key.from_environment(arguments.key_variable)
    parts = {name: getattr(arguments, name) for name in ("separator", "suffix", "system_message", "slot")}
    layout, limit = Layout(arguments.layout, **parts), arguments.max_new_tokens or LIMIT
    asking = Asking(address, arguments.model, layout, limit, extra_fields(arguments.request))
    if key.value and address.scheme == "http" and not address.is_local:
        aside(f"warning: {address} is not https; the key of {key.variable} travels where others can read it")
    items = own_items_from(arguments, arguments.data, grading)
    kept = KeptAnswers(arguments.answers or default_folder())
    session = Session(asking, arguments.texts, items, kept, arguments.allow_other_model)
    bodies = [question.body for question in session.missing]
    tokenizer = tokenizer_at_hand(arguments.tokenizer, arguments.model) if bodies else None
    found = estimate(bodies, session.had, tokenizer, arguments.prices)
    aside(f"{address}: {found}")
    check_consent(found, arguments.yes, arguments.max_cost)
    client = Client(
        address,
        key,
        asking.layout.kind,
        per_minute=arguments.requests_per_minute,
        concurrency=arguments.concurrency,
        timeout=arguments.timeout,
        attempts=arguments.attempts,
        log=aside,
    )
    session.ask(client, aside, arguments.prices, arguments.max_cost)
    data = Path(arguments.data)
    return session.evaluation(grading, data.name if data.is_file() else arguments.data, client.sent)


def _flag(name: str) -> str:
    return {"texts": "prompt", "prices": "price-per-million-tokens"}.get(name, name.replace("_", "-"))


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"give a number above 0, not {text[:40]!r}")
    return value


def _prices(text: str) -> "Prices":
    from embedgrad.endpoint.cost import prices_of

    try:
        return prices_of(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"give the prices of input and output, as in 0.15,0.6, not {text[:40]!r}"
        ) from None
