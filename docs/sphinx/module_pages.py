"""A page for each package, a section for each of its modules, written before each build from what lies in the checkout.

Packages are found as folders, not by importing them: some modules act when they are imported (``__main__``), and a new module has
its section without anybody listing it.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("embedgrad", "embedgrad_core", "evaluators")
# Commands are described by their own help (reference/commands).
LEFT_OUT = ("embedgrad.commands", "__main__")


def dotted(path):
    """embedgrad_core/model/costs.py → embedgrad_core.model.costs."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def section(name, underline):
    """A module's title and its documented members; what a package passes on is described where it is defined."""
    title = f"``{name}``"
    options = "   :members:\n   :ignore-module-all:\n   :show-inheritance:\n"
    return f"{title}\n{underline * len(title)}\n\n.. automodule:: {name}\n{options}\n"


def page(package):
    """The text of a package's page."""
    modules = sorted(path for path in package.glob("*.py") if path.stem not in ("__init__", "__main__"))
    return section(dotted(package / "__init__.py"), "=") + "".join(section(dotted(path), "-") for path in modules)


def write(app):
    """Write the pages that have changed, and remove those of packages that are gone."""
    folder = Path(app.srcdir) / "reference/api"
    folder.mkdir(exist_ok=True)
    inits = [init for package in PACKAGES for init in (ROOT / package).rglob("__init__.py")]
    texts = {dotted(init): page(init.parent) for init in inits if not dotted(init).startswith(LEFT_OUT)}
    for stale in folder.glob("*.rst"):
        if stale.stem not in texts:
            stale.unlink()
    for name, text in texts.items():
        file = folder / f"{name}.rst"
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def setup(app):
    """Write them before Sphinx looks for pages."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
