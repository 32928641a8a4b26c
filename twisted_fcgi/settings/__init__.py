"""
All that can be configured, as frozen data.

``config/`` makes these from httpd's language, ``routing/`` reads them for a
request, ``service/`` builds live objects from them.  Two shapes:

- What belongs to a server, a member or a listener has a value for each field,
  with httpd's default.
- :class:`DirectorySettings` is httpd's per-directory configuration: ``None``
  means "not said here", and :meth:`DirectorySettings.merged` lays a more
  specific section over a more general one.

Durations are seconds, sizes are bytes.
"""

from twisted_fcgi.settings.access import (
    AccessSettings,
    Merging,
    Methods,
    Requirement,
    Requirements,
)
from twisted_fcgi.settings.aliases import Alias, Redirect
from twisted_fcgi.settings.answers import ErrorDocument
from twisted_fcgi.settings.checks import CheckExpression, CheckMethod, CheckSettings
from twisted_fcgi.settings.directory import (
    BackendType,
    Branch,
    DirectorySettings,
    EncodedSlashes,
    ProxyMapping,
    Section,
    SectionKind,
    Signature,
)
from twisted_fcgi.settings.fields import FieldAction, FieldChange, FieldTable
from twisted_fcgi.settings.members import (
    BALANCING_METHODS,
    BalancerSettings,
    Flush,
    MemberSettings,
    Multiplex,
)
from twisted_fcgi.settings.overriding import AllowOverride, Override
from twisted_fcgi.settings.rewriting import RewriteCondition, RewriteMap, RewriteRule, Rewriting
from twisted_fcgi.settings.server import (
    HeartbeatSettings,
    Limits,
    Listener,
    Settings,
    VirtualHost,
)
from twisted_fcgi.settings.tls import PROTOCOLS, TLSSettings, VerifyPeer
from twisted_fcgi.settings.types import Action, Extensions, ExtensionSettings
from twisted_fcgi.settings.variables import (
    VariableChange,
    VariableCondition,
    VariableExpression,
    VariableOverride,
)

__all__ = [
    "BALANCING_METHODS",
    "PROTOCOLS",
    "Action",
    "AccessSettings",
    "Alias",
    "AllowOverride",
    "BackendType",
    "BalancerSettings",
    "Branch",
    "CheckExpression",
    "CheckMethod",
    "CheckSettings",
    "DirectorySettings",
    "EncodedSlashes",
    "ErrorDocument",
    "ExtensionSettings",
    "Extensions",
    "FieldAction",
    "FieldChange",
    "FieldTable",
    "Flush",
    "HeartbeatSettings",
    "Limits",
    "Listener",
    "MemberSettings",
    "Merging",
    "Methods",
    "Multiplex",
    "Override",
    "ProxyMapping",
    "Redirect",
    "Requirement",
    "Requirements",
    "RewriteCondition",
    "RewriteMap",
    "RewriteRule",
    "Rewriting",
    "Section",
    "SectionKind",
    "Settings",
    "Signature",
    "TLSSettings",
    "VariableChange",
    "VariableCondition",
    "VariableExpression",
    "VariableOverride",
    "VerifyPeer",
    "VirtualHost",
]
