"""Directive ``embedgrad-commands``: every subcommand's ``--help`` as a section, so that the site cannot fall behind the command."""

import os

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

WIDTH = "100"  # columns of a help text


class Commands(SphinxDirective):
    """A section for each subcommand, in the order of ``embedgrad --help``."""

    def run(self):
        """Make the sections."""
        from embedgrad.cli import COMMANDS, build_parser

        os.environ["COLUMNS"] = WIDTH  # argparse reads it
        (choices,) = (action.choices for action in build_parser()._actions if action.dest == "command")
        return [self.section(name, module, choices[name]) for name, module in COMMANDS.items()]

    def section(self, name, module, parser):
        """One command: a title, what it is for in a line, its help."""
        section = nodes.section(ids=[f"embedgrad-{name}"], names=[f"embedgrad {name}"])
        self.state.document.note_explicit_target(section)
        section += nodes.title("", "", nodes.literal(text=f"embedgrad {name}"))
        section += nodes.paragraph(text=module.HELP[0].upper() + module.HELP[1:] + ".")
        block = nodes.literal_block(text=parser.format_help().rstrip())
        block["language"] = "text"
        section += block
        return section


def setup(app):
    """Register the directive."""
    app.add_directive("embedgrad-commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
