"""PHP at /blog/ in a site that has other things too; run it with python."""

from twisted.internet import endpoints, reactor
from twisted.web.resource import Resource
from twisted.web.server import Site

from twisted_fcgi.web.resource import FastCGIResource

root = Resource()
php = 'ProxyPass "/blog/" "unix:/run/php/php8.2-fpm.sock|fcgi://localhost/srv/www/blog/"'
root.putChild(b"blog", FastCGIResource(reactor, php))
endpoints.serverFromString(reactor, "tcp:8080").listen(Site(root))
reactor.run()
