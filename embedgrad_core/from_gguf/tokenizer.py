"""The tokenizer that a GGUF file describes: vocabulary and merges from the file, the rule of cutting text into words by its name.

A file names the rule (``tokenizer.ggml.pre``) and does not spell it out. The table holds those that were compared with a tokenizer
of the family itself (`tests/system/real/test_gguf.py`); a rule that is nearly right gives other ids on some texts, and nobody would
notice.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from embedgrad_core.files import UserError
from embedgrad_core.from_gguf.header import Header

KEY = "tokenizer.ggml."
# Kinds of tokens (llama.h, enum llama_token_type); a byte-level vocabulary has no bytes (6) among them.
_NORMAL, _UNKNOWN, _CONTROL, _OWN, _UNUSED = 1, 2, 3, 4, 5
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
# Flags under which the ids would differ and which no file of these families sets.
_UNREAD = ("add_eos_token", "add_space_prefix", "add_sep_token")


@dataclass(frozen=True)
class Rule:
    """How a family reads text.

    Attributes:
        loader: the class that transformers loads the folder with.
        words: regular expression of a word; None for GPT-2's with single digits.
        compose: whether text is brought to NFC first.
        whole_words: whether a word that is a token is taken whole, whatever the merges say.
        begins: whether a text begins with the BOS token where the file does not say.
        names_bos: whether the family's own files name a BOS token.
    """

    loader: str = "PreTrainedTokenizerFast"
    words: str | None = None
    compose: bool = False
    whole_words: bool = False
    begins: bool = False
    names_bos: bool = True


RULES = {
    "smollm": Rule(),
    "qwen2": Rule("Qwen2Tokenizer", _WORDS % r"\p{N}", compose=True, names_bos=False),
    "llama-bpe": Rule(words=_WORDS % r"\p{N}{1,3}", whole_words=True, begins=True),
}
# Texts on which a folder is compared with itself as transformers loads it.
_PROBES = (
    "The year 1234567, isn't it?",
    " two  spaces\n\n\tand e\u0301t\u00e9 \U0001f600 ",
    "<|im_start|>user\n\u4f60\u597d",
)


def check_tokenizer(header: Header) -> Rule:
    """Check that the file's tokenizer is one whose rule is known, and its lists fit each other.

    Raises:
        UserError: another kind of tokenizer or rule, or lists that contradict each other.
    """
    path, data = header.path, header.metadata
    kind, pre = data.get(f"{KEY}model"), data.get(f"{KEY}pre")
    if kind != "gpt2" or pre not in RULES:
        raise UserError(
            f"{path}: tokenizer {kind!r} with the rule {pre!r} is not read here, only 'gpt2' (byte-level BPE) with "
            f"{', '.join(map(repr, RULES))}; take the model's ordinary checkpoint."
        )
    tokens, merges, kinds = (data.get(f"{KEY}{name}", ()) for name in ("tokens", "merges", "token_type"))
    sound = (
        all(isinstance(one, list) for one in (tokens, merges, kinds))
        and all(isinstance(token, str) for token in tokens)
        and len(tokens) == len(kinds) == len(set(tokens))
        and set(kinds) <= {_NORMAL, _UNKNOWN, _CONTROL, _OWN, _UNUSED}
        and all(isinstance(merge, str) and len(merge.split(" ")) == 2 for merge in merges)
    )
    if not sound:
        raise UserError(f"{path}: its lists of tokens, their kinds and merges do not fit; take a whole copy.")
    for flag in _UNREAD:
        if data.get(f"{KEY}{flag}", False) is not False:
            raise UserError(f"{path}: {KEY}{flag} is not carried over; take the model's ordinary checkpoint.")
    if not isinstance(data.get("tokenizer.chat_template", ""), str):
        raise UserError(f"{path}: tokenizer.chat_template is not text; take a whole copy.")
    if token_id(header, "eos") is None:
        raise UserError(f"{path}: names no end token ({KEY}eos_token_id); take a whole copy.")
    return RULES[pre]


def token_id(header: Header, name: str) -> int | None:
    """The id of ``bos``, ``eos``, ``padding``, ``eot`` or ``eom``, if the file names one.

    Raises:
        UserError: it is not in the vocabulary.
    """
    value = header.metadata.get(f"{KEY}{name}_token_id")
    if value is not None and not (type(value) is int and 0 <= value < len(header.metadata[f"{KEY}tokens"])):
        raise UserError(
            f"{header.path}: {KEY}{name}_token_id is {value!r}, no id of its vocabulary; take a whole copy."
        )
    return value


def build_tokenizer(header: Header, rule: Rule) -> Tokenizer:
    """The tokenizer itself.

    Raises:
        UserError: merges that make no token.
    """
    tokens, kinds = header.metadata[f"{KEY}tokens"], header.metadata[f"{KEY}token_type"]
    # Rows of the matrix after the last token have made-up names in such files and are not tokens.
    used = max(place for place, kind in enumerate(kinds) if kind != _UNUSED) + 1 if set(kinds) != {_UNUSED} else 0
    vocabulary = {token: place for place, token in enumerate(tokens[:used])}
    merges = [tuple(merge.split(" ")) for merge in header.metadata[f"{KEY}merges"]]
    try:
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=rule.whole_words))
    except Exception as error:  # tokenizers raises nothing narrower
        raise UserError(f"{header.path}: a damaged vocabulary ({error}); take a whole copy.") from error
    if rule.compose:
        tokenizer.normalizer = normalizers.NFC()
    first: pre_tokenizers.PreTokenizer
    if rule.words is None:
        first, by_gpt2 = pre_tokenizers.Digits(individual_digits=True), True
    else:
        first, by_gpt2 = pre_tokenizers.Split(Regex(rule.words), behavior="isolated"), False
    bytewise = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=by_gpt2)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([first, bytewise])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = _post_processor(header, rule, tokens)
    for place, kind in enumerate(kinds[:used]):
        if kind in (_UNKNOWN, _CONTROL, _OWN) and tokens[place]:
            token = AddedToken(tokens[place], special=kind != _OWN, normalized=False)
            (tokenizer.add_tokens if kind == _OWN else tokenizer.add_special_tokens)([token])
    return tokenizer


def _post_processor(header: Header, rule: Rule, tokens: list[str]) -> Any:
    bytewise = processors.ByteLevel(trim_offsets=False)
    begins = header.metadata.get(f"{KEY}add_bos_token", rule.begins)
    if not begins:
        return bytewise
    bos = token_id(header, "bos")
    if bos is None:
        raise UserError(f"{header.path}: texts begin with a BOS token, and it names none; take a whole copy.")
    first = f"{tokens[bos]}:0"
    template = processors.TemplateProcessing(
        single=f"{first} $A:0", pair=f"{first} $A:0 {tokens[bos]}:1 $B:1", special_tokens=[(tokens[bos], bos)]
    )
    return processors.Sequence([bytewise, template])


def write_tokenizer(header: Header, rule: Rule, folder: Path) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json``; the chat template is only text here, rendered by nobody.

    Raises:
        UserError: transformers would load the folder as another tokenizer than the file's.
    """
    tokens = header.metadata[f"{KEY}tokens"]
    named = {name: token_id(header, name) for name in ("bos", "eos", "padding")}
    texts = {name: None if place is None else tokens[place] for name, place in named.items()}
    config = {
        "tokenizer_class": rule.loader,
        "bos_token": texts["bos"] if rule.names_bos else None,
        "eos_token": texts["eos"],
        "pad_token": texts["padding"],
        "model_max_length": header.metadata[f"{header.metadata['general.architecture']}.context_length"],
        "clean_up_tokenization_spaces": False,
    }
    if "tokenizer.chat_template" in header.metadata:
        config["chat_template"] = header.metadata["tokenizer.chat_template"]
    build_tokenizer(header, rule).save(str(folder / "tokenizer.json"))
    text = json.dumps(config, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")
    _check_loads(header, folder)


def _check_loads(header: Header, folder: Path) -> None:
    """Some classes put a rule of their own in the place of the folder's; the ids must be the file's all the same."""
    written = Tokenizer.from_file(str(folder / "tokenizer.json"))
    loaded = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    texts = [*_PROBES, *(f"a{token.content}b" for token in written.get_added_tokens_decoder().values())]
    if not isinstance(loaded, PreTrainedTokenizerFast) or any(
        written.encode(text).ids != loaded(text)["input_ids"] for text in texts
    ):
        pre, architecture = header.metadata[f"{KEY}pre"], header.metadata["general.architecture"]
        raise UserError(
            f"{header.path}: transformers reads text differently from the rule {pre!r} in a folder of architecture {architecture}; "
            "take the model's ordinary checkpoint."
        )
