"""The composition root: what the operator is made of, and how it is run."""

from trivyop.app.operator import Operator

__all__ = ["Operator"]
