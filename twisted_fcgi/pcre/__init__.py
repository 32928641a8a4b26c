"""
Perl-compatible expressions and shell wildcards, as httpd has them, on Python's ``re``.

Everything works on bytes.  An expression that ``re`` can't do the same way is a
:class:`PatternError` that says what; it never silently means something else.
"""

from __future__ import annotations

from twisted_fcgi.pcre.characters import PatternError
from twisted_fcgi.pcre.translate import compilePattern
from twisted_fcgi.pcre.wildcards import compileWildcards, hasWildcards

__all__ = ["PatternError", "compilePattern", "compileWildcards", "hasWildcards"]
