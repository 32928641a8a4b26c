"""The ``fcgi`` command: :mod:`twisted_fcgi.scripts.fcgi`."""
