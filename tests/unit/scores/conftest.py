"""Kernels may be compiled by the first example of a property, so examples have no deadline."""

from hypothesis import settings

settings.register_profile("compiled", deadline=None)
settings.load_profile("compiled")
