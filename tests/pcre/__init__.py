"""Tests for :mod:`twisted_fcgi.pcre`."""
