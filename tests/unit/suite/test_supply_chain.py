"""What is installed and what is read: pinned, hashed, never pickled, never a repository's own code."""

import ast
import re

import pytest
from places import ROOT

PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
PACKAGES = ("embedgrad", "embedgrad_core", "evaluators", "workflow", "benchmarks")


def pins(name):
    found = PIN.findall((ROOT / name).read_text(encoding="utf-8"))
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in found}


def test_every_pin_has_hashes_and_both_files_agree():
    text = (ROOT / "requirements.hashes").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[A-Za-z])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    for block in blocks:
        assert PIN.match(block), block[:60]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block[:60]
    # torch's build, and so its hash, depends on the machine.
    assert pins("requirements.hashes") == {k: v for k, v in pins("requirements.lock").items() if k != "torch"}


PICKLES = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "torch.load",
    "torch.save",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
}
METHODS = {"sympify", "parse_expr", "parse_latex", "read_pickle", "to_pickle", "Unpickler", "unsafe_load", "full_load"}
KEYWORDS = {"trust_remote_code": "False", "shell": "False", "allow_pickle": "False", "weights_only": "True"}


def forbidden(source):
    """What would run or unpickle somebody's text, in Python as an interpreter reads it."""
    tree, found = ast.parse(source), []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        found += [f"import {name}" for name in names if name.split(".")[0] in PICKLES or name in CALLS]
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            found += [name] if name in CALLS or name.split(".")[-1] in METHODS else []
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            found += [f"{key}={given[key]}" for key, safe in KEYWORDS.items() if given.get(key, safe) != safe]
    return found


def of_rules(source):
    """The same in a file of rules, which is not quite Python: by its words, strings and comments included."""
    called, methods = ("|".join(map(re.escape, sorted(names))) for names in (CALLS, METHODS))
    pattern = rf"(?<![\w.])(?:{called})\(|(?<!\w)(?:{methods})\(|\b(?:import|from) +(?:{'|'.join(PICKLES)})\b"
    found = re.findall(pattern, source)
    return found + [f"{key}=" for key, safe in KEYWORDS.items() if re.search(rf"\b{key} *= *(?!{safe}\b)", source)]


BAD = [
    "import pickle", "import pickle as p", "from pickle import loads", "from joblib import load", "import shelve",
    "import pandas\npandas.read_pickle('x')", "numpy.load('x', allow_pickle=True)", "torch.load('x')", "from torch import load",
    "torch.load('x', weights_only=False)", "compile('1', 'x', 'eval')", "eval('1')", "exec('1')", "__import__('os')",
    "yaml.load(x)", "yaml.unsafe_load(x)", "subprocess.run('x', shell=True)", "f(trust_remote_code=True)", "sympy.sympify('x')",
]  # fmt: skip


@pytest.mark.parametrize("source", BAD)
def test_what_runs_or_unpickles_text_would_be_found(source):
    assert forbidden(source)
    assert source == "from torch import load" or of_rules(f"rule a:\n    run:\n        {source}\n")
    assert forbidden("import re\nre.compile('x')\nnumpy.load('x')\nmodel.eval()\nf(shell=False)") == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_pickle_no_eval_no_code_of_a_repository(package):
    for path in (ROOT / package).rglob("*.py"):
        assert forbidden(path.read_text(encoding="utf-8")) == [], path


def test_no_rule_runs_or_unpickles_text():
    rules = [ROOT / "Snakefile", *(ROOT / "workflow").rglob("Snakefile"), *(ROOT / "workflow").rglob("*.smk")]
    assert len(rules) > 10
    for path in rules:
        assert of_rules(path.read_text(encoding="utf-8")) == [], path
