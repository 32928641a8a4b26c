"""
Apache httpd's configuration language: text to :class:`twisted_fcgi.settings.Settings`.

Storeys, each of which only knows the ones before it::

    source      files -> logical lines, each with the place of every character
    words       a line -> words, by httpd's quoting rules
    registry    one row a directive: arguments, contexts, default, doc, its function
    tree        lines -> nested directives; Include, Define and <IfModule> happen here
    drafts      what is being built: servers, sections; members: who shares what;
                access: requirements; oldaccess: what they replaced
    scope       the place of one directive: what its function reads and writes
    directives_*  the rows, by httpd's modules; parameters: of members and balancers;
                checking: what health checks are named by
    walk        tree -> drafts
    build       text -> drafts -> Settings; serving: who serves which URL
    htaccess    .htaccess text -> a section; overriding: what it may say
    manual      the rows -> the reference
    hazards     Settings -> what they allow that may not be meant; failing: what can only fail

``shorthand`` makes the text that short command-line options stand for.

All mistakes of all files are collected; nothing is built when there is one.
"""

from __future__ import annotations

from twisted_fcgi.config.build import checkAccessFile, load, loads
from twisted_fcgi.config.failing import unheard
from twisted_fcgi.config.hazards import hazards
from twisted_fcgi.config.manual import reference

__all__ = ["checkAccessFile", "hazards", "load", "loads", "reference", "unheard"]
