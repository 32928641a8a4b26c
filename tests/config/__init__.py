"""Tests for :mod:`twisted_fcgi.config`."""
