"""
Put any FastCGI application behind Twisted.

As a service, ``twistd fcgiproxy --config site.conf``, whose configuration is
Apache httpd's own language; or as :class:`twisted_fcgi.web.resource.FastCGIResource`
inside a ``twisted.web`` site that already exists.

The words used throughout:

member
    One FastCGI server that we talk to (httpd: worker, BalancerMember).
balancer
    A set of members.
application
    The program behind FastCGI.
stream
    One FastCGI request id on one connection.
route
    What the configuration decided for one request.
front
    What turns HTTP bytes into a request: our HTTP/1.1 channel, or a
    ``twisted.web`` resource.
"""

from importlib.util import find_spec

__all__ = ["__version__", "versionText"]

__version__ = "0.1.0"


def versionText() -> str:
    """The version, for people: also whether the way of a request is compiled."""
    spec = find_spec("twisted_fcgi.headers")
    compiled = spec is not None and spec.origin is not None and not spec.origin.endswith(".py")
    return f"{__version__} (compiled)" if compiled else __version__
