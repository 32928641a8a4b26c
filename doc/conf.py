"""Sphinx configuration; the references are made from the tables that the program itself uses."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import twisted_fcgi
from twisted_fcgi import config

project = "twisted_fcgi"
copyright = "the twisted_fcgi authors"
version = release = twisted_fcgi.__version__

extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
nitpicky = False
html_theme = "furo"
html_title = f"twisted_fcgi {release}"
autodoc_member_order = "bysource"
autodoc_typehints = "description"


class ConfigurationReference(SphinxDirective):
    """All directives of the configuration language, from the registry."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(config.reference(), allow_section_headings=True)


def setup(app: Sphinx) -> None:
    """Add what the pages use."""
    app.add_directive("configuration-reference", ConfigurationReference)
