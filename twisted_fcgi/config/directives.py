"""All directives: the registry that everything else asks."""

from __future__ import annotations

from itertools import chain

from twisted_fcgi.config import (
    directives_access,
    directives_alias,
    directives_branches,
    directives_compat,
    directives_core,
    directives_dir,
    directives_env,
    directives_errors,
    directives_fcgi,
    directives_files,
    directives_hcheck,
    directives_headers,
    directives_heartbeat,
    directives_http,
    directives_mime,
    directives_overriding,
    directives_proxy,
    directives_proxying,
    directives_reading,
    directives_rewrite,
    directives_rewriterule,
    directives_sections,
    directives_ssl,
)
from twisted_fcgi.config.foreign import foreignDirectives
from twisted_fcgi.config.registry import Registry

__all__ = ["REGISTRY"]

REGISTRY = Registry(
    chain(
        directives_reading.rows,
        directives_sections.rows,
        directives_branches.rows,
        directives_core.rows,
        directives_core.unixd,
        directives_core.mpm,
        directives_overriding.rows,
        directives_overriding.extensions,
        directives_files.rows,
        directives_files.allowmethods,
        directives_mime.rows,
        directives_mime.core,
        directives_mime.actions,
        directives_mime.negotiation,
        directives_http.rows,
        directives_http.reqtimeout,
        directives_dir.rows,
        directives_dir.autoindex,
        directives_alias.rows,
        directives_access.rows,
        directives_access.core,
        directives_access.authn,
        directives_compat.rows,
        directives_env.rows,
        directives_env.setenvif,
        directives_proxy.rows,
        directives_proxying.rows,
        directives_heartbeat.rows,
        directives_hcheck.rows,
        directives_fcgi.rows,
        directives_ssl.rows,
        directives_ssl.extensions,
        directives_rewrite.rows,
        directives_rewriterule.rows,
        directives_headers.rows,
        directives_errors.rows,
        directives_errors.proxy,
    ),
    foreignDirectives,
)
