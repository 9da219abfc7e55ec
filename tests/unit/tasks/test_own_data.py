"""Data of one's own: formats, columns, and one error with its line for everything that can be wrong."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedgrad.api import make_grading
from embedgrad.tasks.own.data import Columns, fingerprint, read_own, split_own
from embedgrad_core.files import Item, UserError

LABELS = ["positive", "negative"]
CSV = 'text,label\n"A lovely film, truly.",positive\n"Dull.\nVery dull.",Negative\n'


def read(tmp_path, name, text, evaluator="label", labels=LABELS, columns=None):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_own(path, evaluator, labels, columns)


def test_csv_with_quotes_line_breaks_and_a_byte_order_mark(tmp_path):
    for prefix in (b"", b"\xef\xbb\xbf"):
        items = read(tmp_path, "r.csv", prefix + CSV.encode())
        assert [(item.id, item.answer, item.target) for item in items] == [
            ("r.csv/2", "positive", "positive"),
            ("r.csv/3", "negative", "negative"),
        ]
        assert items[1].input == "Dull.\nVery dull."


def test_json_lines_tsv_and_the_suites_own_format(tmp_path, items):
    rows = [{"review": "Good.", "class": 0}, {"review": "Bad.", "class": 1}]
    found = read(tmp_path, "r.jsonl", "\n\n".join(map(json.dumps, rows)) + "\n", labels=["0=positive", "1=negative"])
    assert [(item.input, item.answer) for item in found] == [("Good.", "positive"), ("Bad.", "negative")]
    assert read(tmp_path, "r.tsv", "text\tlabel\nx\tpositive\n")[0].input == "x"
    own = read(tmp_path, "own.jsonl", "".join(json.dumps(item.row()) + "\n" for item in items), "exact")
    assert own == items


@pytest.mark.parametrize(
    ("labels", "told", "meant"),
    [
        (["1", "2", "3", "4", "5"], ["1", "5"], ["1", "5"]),
        (["1", "0"], [0, 1], ["0", "1"]),
        (["-1", "1.5"], ["-1"], ["-1"]),
        (["1", "2"], [1.0, "2.0"], ["1", "2"]),
        (["Good", "0"], ["good", 0], ["Good", "0"]),
        (["0=negative", "1=positive"], [1, "0", "Positive", 1.0], ["positive", "negative", "positive", "positive"]),
        ({0: "negative", "1": "positive"}, [1, "0"], ["positive", "negative"]),
        (["-1=bad", "+1=good"], [-1, "1"], ["bad", "good"]),
        (["a=b", "1=c"], ["A=b", "1=c"], ["a=b", "1=c"]),
    ],
)
def test_a_number_is_what_someone_said_it_is(tmp_path, labels, told, meant):
    rows = "".join(json.dumps({"text": "x", "label": label}) + "\n" for label in told)
    assert [item.answer for item in read(tmp_path, "n.jsonl", rows, labels=labels)] == meant


@pytest.mark.parametrize("number", [0, "1", 1.0])
def test_a_number_beside_words_is_refused_until_someone_says_which(tmp_path, number):
    """Never the place in the list: 1 would be "negative" to one user and "positive" to the next."""
    with pytest.raises(
        UserError, match=r"n.jsonl:1: label '\S+' is a number .* --labels 0=positive,1=negative or --labels 0=neg"
    ):
        read(tmp_path, "n.jsonl", json.dumps({"text": "x", "label": number}) + "\n")


def test_class_labels_have_their_own_names(tmp_path):
    """In memory and in a Parquet file alike, whatever the order in which labels are named."""
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["negative", "positive"])}
    )
    table = datasets.Dataset.from_dict({"text": ["Good.", "Bad."], "label": [1, 0]}, features=features)
    table.to_parquet(tmp_path / "r.parquet")
    assert [item.answer for item in read_own(table, "label", LABELS)] == LABELS
    assert [item.answer for item in read_own(tmp_path / "r.parquet", "label", LABELS)] == LABELS
    whole = (tmp_path / "r.parquet").read_bytes()
    with pytest.raises(UserError, match=r"s.parquet: not a whole Parquet file"):
        read(tmp_path, "s.parquet", whole[:-9])


def test_a_number_beside_numeric_labels_is_no_place(tmp_path):
    with pytest.raises(UserError, match=r"n.csv:2: label '0' is not among 1, 2;"):
        read(tmp_path, "n.csv", "text,label\nx,0\n", labels=["1", "2"])


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["good", "Good", "bad"], "'good' and 'Good' are the same but for their case"),
        ("good,bad", "give a list"),
        (["good", 1], "give a list"),
        (["good", " "], "one of them is empty"),
        (["good"], "at least two"),
        (["0=good", "0=bad"], "one number stands for two labels"),
        ({0: "good", 1: 2}, "give each number a text"),
        ({0: 1, "0": 2}, "give each number a text"),
    ],
)
def test_labels_that_cannot_be_told_apart(tmp_path, labels, told):
    with pytest.raises(UserError, match=told):
        read(tmp_path, "l.csv", "text,label\nx,good\n", labels=labels)
    with pytest.raises(UserError, match=told):
        make_grading("label", labels)


@pytest.mark.parametrize("mark", ["\u0085", "\u2028", "\u2029", "\v", "\f", "\x1c"])
def test_only_line_breaks_end_a_row(tmp_path, mark):
    text = f'text,label\r\none{mark}two,positive\r\n"a\n{mark}b",negative\nc,great\n'
    with pytest.raises(UserError, match=r"m.csv:5: label 'great'"):
        read(tmp_path, "m.csv", text)
    items = read(tmp_path, "m.csv", text.replace("great", "positive"))
    assert [item.input for item in items] == [f"one{mark}two", f"a\n{mark}b", "c"]
    assert [item.id for item in items] == ["m.csv/2", "m.csv/3", "m.csv/5"]


def test_targets_follow_the_evaluator(tmp_path):
    rows = '{"problem": "1+1", "answer": "2"}\n'
    assert read(tmp_path, "m.jsonl", rows, "boxed_math")[0].target == "\\boxed{2}"
    rows = '{"problem": "1+1", "answer": "2", "solution": "Two: \\\\boxed{2}"}\n'
    assert read(tmp_path, "m.jsonl", rows, "boxed_math")[0].target == "Two: \\boxed{2}"
    assert read(tmp_path, "y.csv", "question,answer\nq,yes\n", "yes_no")[0].answer == "Yes"
    columns = Columns(input="q", answer="a", target="long")
    assert read(tmp_path, "e.csv", "q,a,long\n1,2,3\n", "exact", columns=columns)[0] == Item("e.csv/2", "1", "3", "2")


WRONG = {
    "missing column": ("a.csv", "text,mark\nx,positive\n", "a.csv:2: no column for the answer"),
    "named column missing": ("b.csv", "text,label\nx,positive\n", "b.csv:2: no column 'stars'"),
    "empty file": ("c.csv", "", "c.csv: the file is empty"),
    "white space alone": ("d.jsonl", "\n \n", "d.jsonl: the file is empty"),
    "0 usable rows": ("e.csv", "text,label\n\n", "no usable rows"),
    "label outside the list": ("f.csv", "text,label\nx,positive\ny,great\n", "f.csv:3: label 'great' is not among"),
    "empty input": ("g.csv", "text,label\n ,positive\n", "g.csv:2: column 'text' is empty"),
    "too many fields": ("h.csv", "text,label\na,b,positive\n", "h.csv:2: 3 fields, the first line names 2"),
    "open quote": ("i.csv", 'text,label\n"a,positive\n', "i.csv:2: not a well-formed row"),
    "twice one column": ("j.csv", "text,text\na,b\n", "j.csv:1: two columns have one name"),
    "mixed encodings": ("k.csv", "text,label\nà,positive\n".encode() + "ö,positive\n".encode("latin-1"), "k.csv:3: not UTF-8"),
    "JSON that is not UTF-8": ("r.jsonl", b'{"text": "\xe9", "label": "positive"}\n', "r.jsonl:1: not UTF-8"),
    "a field without a name": ("s.csv", "text,label,,\na,positive,,\nb,positive,x,\n", "s.csv:3: column 3 holds 'x' and has"),
    "NaN": ("t.jsonl", '{"text": "x", "label": NaN}\n', "t.jsonl:1: "),
    "half a gzip file": ("u.csv.gz", gzip.compress(b"text,label\nx,positive\n" * 99)[:-9], "u.csv.gz: not a whole gzip file"),
    "no object": ("l.jsonl", '{"text": "x", "label": "positive"}\n[1]\n', "l.jsonl:2: expected a JSON object"),
    "broken JSON": ("m.jsonl", '{"text": \n', "m.jsonl:1: not a JSON object"),
    "a number as text": ("n.jsonl", '{"text": null, "label": "positive"}\n', "n.jsonl:1: column 'text' must be text"),
    "later row lacks a column": ("o.jsonl", '{"text": "x", "label": "positive"}\n{"text": "y"}\n', "o.jsonl:2: no column 'label'"),
    "one id twice": ("p.csv", "id,text,label\n1,x,positive\n1,y,positive\n", "p.csv:3: id '1' stands at .*p.csv:2 too"),
    "unknown ending": ("q.xlsx", "x", "q.xlsx: the ending '.xlsx' is unknown"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_one_line_says_what_is_wrong_and_where(tmp_path, case):
    name, text, told = WRONG[case]
    columns = Columns(answer="stars") if case == "named column missing" else None
    with pytest.raises(UserError, match=told) as raised:
        read(tmp_path, name, text, columns=columns)
    assert "\n" not in str(raised.value)


def test_neither_file_nor_hub_name():
    with pytest.raises(UserError, match=r"nowhere.csv: no such file"):
        read_own("nowhere.csv", "exact")
    with pytest.raises(UserError, match="give a "):
        read_own("nowhere", "exact")


def test_yes_or_no_alone(tmp_path):
    with pytest.raises(UserError, match=r"y.csv:2: answer 'maybe' is neither Yes nor No"):
        read(tmp_path, "y.csv", "text,label\nx,maybe\n", "yes_no")


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from(LABELS)), min_size=2, max_size=60),
    st.integers(0, 5),
    st.sampled_from([0.1, 0.2, 0.5]),
)
def test_the_split_covers_all_and_parts_no_twins(pairs, seed, fraction):
    items = [Item(str(place), f"text {number}", label, label) for place, (number, label) in enumerate(pairs)]
    different = len({item.input for item in items})
    if different < 2:
        with pytest.raises(UserError, match="different input"):
            split_own(items, fraction, seed)
        return
    train, dev = split_own(items, fraction, seed)
    assert train
    assert dev
    assert sorted(item.id for item in (*train, *dev)) == sorted(item.id for item in items)
    assert not {item.input for item in train} & {item.input for item in dev}
    assert split_own(items, fraction, seed) == (train, dev)


def test_a_fingerprint_ignores_case_and_white_space():
    assert fingerprint("A  lovely\nFilm") == fingerprint("a lovely film") != fingerprint("a lovely film!")


GERMAN = "text;label\nSchön, größer;positive\nübel;negative\n"
SPREADSHEETS = {
    "semicolons": (GERMAN.encode(), ["parted by semicolons"]),
    "a byte order mark": (b"\xef\xbb\xbf" + GERMAN.encode(), ["parted by semicolons"]),
    "Windows-1252": (GERMAN.encode("cp1252"), ["read as Windows-1252", "parted by semicolons"]),
    "UTF-16": (GERMAN.encode("utf-16"), ["read as UTF-16", "parted by semicolons"]),
    "sep=": (b"sep=;\r\n" + GERMAN.replace("\n", "\r\n").encode(), ["parted by semicolons"]),
    "columns without a name": (
        GERMAN.replace("label", "label;;").replace("tive", "tive;;").encode(),
        ["parted by semicolons"],
    ),
    "tabs": (GERMAN.replace(";", "\t").encode(), ["parted by tabs"]),
    "commas": (GERMAN.replace(",", "").replace(";", ",").encode(), []),
}


@pytest.mark.parametrize("case", SPREADSHEETS)
def test_what_a_spreadsheet_saves_is_read_and_said(tmp_path, case):
    data, told = SPREADSHEETS[case]
    said = []
    (tmp_path / "s.csv").write_bytes(data)
    items = read_own(tmp_path / "s.csv", "label", LABELS, log=said.append)
    first = "Schön größer" if case == "commas" else "Schön, größer"
    assert [(item.input, item.answer) for item in items] == [(first, "positive"), ("übel", "negative")]
    assert len(said) == len(told)
    assert all(part in line for part, line in zip(told, said, strict=True))


def test_other_alphabets_and_compressed_files(tmp_path):
    said = []
    rows = "text,label\n这部电影很好看，我非常喜欢，推荐大家去看,好\n这部电影太差了，浪费时间，剧情无聊透顶,坏\n"
    (tmp_path / "c.csv").write_bytes(rows.encode("gb18030"))
    assert [item.answer for item in read_own(tmp_path / "c.csv", "label", ["好", "坏"], log=said.append)] == [
        "好",
        "坏",
    ]
    assert "gb18030" in said[0]
    lines = b'{"text": "x", "label": "positive"}\n{"text": "y", "label": "negative"}\n'
    (tmp_path / "r.jsonl.gz").write_bytes(gzip.compress(lines))
    assert [item.answer for item in read_own(tmp_path / "r.jsonl.gz", "label", LABELS)] == LABELS


def test_an_empty_cell_of_pandas_is_empty():
    for empty in (float("nan"), None, ""):
        with pytest.raises(UserError, match=r"data row 2: column 'label'"):
            read_own([{"text": "x", "label": "positive"}, {"text": "y", "label": empty}], "label", LABELS)


SOLVED = {
    "a solution with its box": (
        {"problem": "1+1", "solution": "It is \\boxed{1}, no: \\boxed{2}."}, "2", "It is \\boxed{1}, no: \\boxed{2}."
    ),
    "a boxed answer": ({"problem": "1+1", "answer": "\\boxed{2}"}, "2", "\\boxed{2}"),
    "GSM8K": (
        {"question": "q", "answer": "He has 3*4=<<3*4=12>>12.\nSo 1,012.\n#### 1,012"},
        "1012",
        "He has 3*4=12.\nSo 1,012.\nThe answer is \\boxed{1012}.",
    ),
    "a bare mark": ({"question": "q", "answer": "#### -2.5"}, "-2.5", "\\boxed{-2.5}"),
    "an answer beside its solution": ({"problem": "q", "answer": "2", "solution": "So \\boxed{2}"}, "2", "So \\boxed{2}"),
    "words that are a value": ({"problem": "q", "answer": "\\text{east}"}, "\\text{east}", "\\boxed{\\text{east}}"),
}  # fmt: skip


@pytest.mark.parametrize("case", SOLVED)
def test_maths_rows_give_their_value_and_a_target_that_ends_in_a_box(case):
    row, answer, target = SOLVED[case]
    said = []
    (item,) = read_own([row], "boxed_math", log=said.append)
    assert (item.answer, item.target) == (answer, target)
    assert bool(said) is (case in ("a solution with its box", "a boxed answer", "GSM8K", "a bare mark"))


def test_a_solution_without_a_value_is_refused():
    row = {"problem": "1+1", "solution": "We count one finger and then another one, and so we get two of them."}
    with pytest.raises(UserError, match=r"data row 1: the answer 'We count .* no value to compare with; name a column"):
        read_own([row], "boxed_math")
