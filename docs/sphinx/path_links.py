"""Links where the text names a page by its path: ``docs/scale.md`` in backticks is a link on the site.

On GitHub the same text stands as it is, so that the pages are written once.
"""

import re

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

# Pages of the site that are files from elsewhere in the checkout.
ELSEWHERE = {
    "README.md": "guide/getting_started",
    "CONTRIBUTING.md": "guide/contributing",
    "CHANGELOG.md": "guide/changelog",
    "config/README.md": "guide/configuration",
    "workflow/profiles/kubernetes/README.md": "howto/kubernetes_profile",
}
PAGE = re.compile(r"docs/(?P<page>[\w/]+)\.(?:md|ipynb)")


class PathLinks(SphinxTransform):
    """Wraps a literal that is the path of a page in a reference to it."""

    default_priority = 400

    def apply(self, **kwargs):
        """Look at every literal of the document."""
        for literal in list(self.document.findall(nodes.literal)):
            text = literal.astext()
            found = PAGE.fullmatch(text)
            page = found["page"] if found else ELSEWHERE.get(text)
            inside_link = isinstance(literal.parent, nodes.reference | addnodes.pending_xref | nodes.title)
            if page is None or inside_link or page not in self.env.found_docs or page == self.env.docname:
                continue
            link = addnodes.pending_xref(
                "", refdomain="std", reftype="doc", reftarget=f"/{page}", refexplicit=True, refdoc=self.env.docname
            )
            literal.replace_self(link)
            link += literal


def setup(app):
    """Register the transform."""
    app.add_transform(PathLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
