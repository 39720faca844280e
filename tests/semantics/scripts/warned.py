"""Warnings in the main module are shown, with their line."""

import warnings

warnings.warn("old way", DeprecationWarning)
warnings.warn("look here")
invalid = "\d"
