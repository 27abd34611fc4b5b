"""trivyop: a Kubernetes operator that keeps Trivy's security reports up to date."""

from importlib.metadata import version

__version__ = version("trivyop")
