"""Counterfoil: a first-party relay for Meta Pixel + Conversions API.

Public names: `create_app`, `Settings`, `RelayError`. Nothing else is promised to stay.
"""

__version__ = "0.1.0"
