"""From a request to what is done with it: :class:`~twisted_fcgi.routing.router.Router`."""

from twisted_fcgi.routing.router import Router

__all__ = ["Router"]
