"""Sphinx's settings for the site: `make docs` builds it into build/docs, and a warning is an error."""

import sys
from importlib import import_module
from pathlib import Path

from pygments.lexers import PythonLexer

HERE = Path(__file__).resolve().parent
# The checkout's own code is documented, whatever else is installed; and this folder's extensions are found.
sys.path[:0] = [str(HERE.parent), str(HERE / "sphinx")]

project = "EmbedGrad replication suite"
author = "The EmbedGrad replication suite authors"
project_copyright = author
release = version = "0.1.0"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "myst_nb",  # Markdown and notebooks
    "command_pages",
    "module_pages",
    "path_links",
]
# The tables that a run wrote are files to open, not pages.
exclude_patterns = [
    "sphinx",
    *(f"laptop/{name}.md" for name in ("against_best", "audit", "claims", "table2", "carry_*")),
]

# Markdown: the pages are written for GitHub, where every heading is an anchor.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
# The notebook is run by each build, on this machine, without a network.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
nb_output_stderr = "remove"  # a progress bar without its widget, and the like

# Docstrings. What only an extra brings is imported where it is used; vLLM's hook alone needs it to be imported at all.
autodoc_mock_imports = ["vllm"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
maximum_signature_line_length = 90
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
# A role that points nowhere is an error; types of other packages are not looked up, since a build asks no network.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:(class|data|exc|obj)", r"(?!embedgrad|evaluators|UserError).*"),
    (r"py:class", r".*\.[A-Z]"),  # type variables, which have no page
]

html_theme = "furo"
html_title = "EmbedGrad replication suite"
html_static_path = ["sphinx/static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
copybutton_exclude = ".linenos, .gp, .go"
suppress_warnings = ["config.cache"]


def find_home(app, env, node, contnode):
    """What a package passes on from one of its modules (``embedgrad_core.FrozenModel``) is documented there: link to its home."""
    if node.get("refdomain") != "py":
        return None
    parts = node["reftarget"].split(".")
    for length in range(len(parts) - 1, 0, -1):  # the longest part of the name that is a module
        try:
            module = import_module(".".join(parts[:length]))
        except ImportError:
            continue
        home = getattr(getattr(module, parts[length], None), "__module__", None)
        if home in (None, module.__name__):
            return None
        name = ".".join([home, *parts[length:]])
        return env.get_domain("py").resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, contnode)
    return None


def setup(app):
    """Connect what this file adds."""
    app.connect("missing-reference", find_home)
    app.add_lexer("snakemake", PythonLexer)  # Python with blocks of its own, as GitHub shows it
