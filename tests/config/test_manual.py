"""Tests for :mod:`twisted_fcgi.config.manual`."""

from __future__ import annotations

import io
import re

from docutils.core import publish_doctree
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.config import reference
from twisted_fcgi.config.directives import REGISTRY
from twisted_fcgi.config.foreign import foreignDirectives
from twisted_fcgi.config.parameters import BALANCER, MEMBER

__all__ = ["ReferenceTests"]


class ReferenceTests(SynchronousTestCase):
    """Tests for :func:`reference`."""

    def test_namesEach(self) -> None:
        """Each directive has an entry, or stands among the ignored ones."""
        text = reference()
        for row in REGISTRY:
            name = f"{row.name}>" if row.section else row.name
            entry = f"``{name}``" if row.ignored else f"\n{name}\n{'~' * len(name)}\n"
            self.assertIn(entry, text)

    def test_parameters(self) -> None:
        """Each parameter stands in a table."""
        rows = re.findall(r"\* - ``(\w+)``", reference())
        self.assertEqual([*sorted(MEMBER), *sorted(BALANCER)], rows)

    def test_foreign(self) -> None:
        """Each directive that is not supported is named with the reason."""
        text = reference()
        for entry in foreignDirectives():
            if REGISTRY.get(entry.name) is None:
                self.assertIn(entry.reason, text)
                self.assertIn(f"``{entry.name}", text)

    def test_markup(self) -> None:
        """It is reStructuredText without a mistake."""
        warnings = io.StringIO()
        publish_doctree(reference(), settings_overrides={"warning_stream": warnings})
        self.assertEqual("", warnings.getvalue())
