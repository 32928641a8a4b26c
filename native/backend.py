"""
What pip and build ask first: setuptools, and Cython where a compiled build is wanted.

See PEP 517, and setuptools' "Dynamic build dependencies".
"""

from __future__ import annotations

import os
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403

from native.building import CYTHON, isAsked


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """What has to be there to build a wheel, beside what pyproject.toml says."""
    required = build_meta.get_requires_for_build_wheel(config_settings)
    return [*required, CYTHON] if isAsked(os.environ) else required
