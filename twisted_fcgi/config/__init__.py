"""
Apache httpd's configuration language: text to :class:`twisted_fcgi.settings.Settings`.

Storeys, each of which only knows the ones before it::

    source      files -> logical lines, each with the place of every character
    words       a line -> words, by httpd's quoting rules
    tree        lines -> nested directives; Include, Define and <IfModule> happen here
    registry    one row a directive: arguments, contexts, default, doc, its function
    drafts      what is being built: servers, sections, members
    directives_*  the rows, by httpd's modules
    build       tree -> drafts -> Settings

All mistakes of all files are collected; nothing is built when there is one.
"""

from __future__ import annotations

from twisted_fcgi.config.build import load, loads

__all__ = ["load", "loads"]
