"""
The package with its hot path as C, made of the same files.

``TWISTED_FCGI_NATIVE=1 pip install .`` does it: setup.py hands over to
:mod:`native.building`, and that to :mod:`native.translation`.
"""
