"""programs: where the Trivy and kubectl that come with the ``sandbox`` extra are.

Both are installed by pip as programs beside the interpreter. One on the PATH does as well, because who has a
newer one may want that; the environment's own comes first, so that tests run with what was locked.

Promises: a path to a file that can be run, or an error that says what to install.
Not here: running them.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from trivyop.errors import TerminalError


class ProgramMissingError(TerminalError):
    """The program is neither in this Python environment nor on the PATH."""


def trivy() -> Path:
    return _find("trivy")


def kubectl() -> Path:
    return _find("kubectl")


def _find(name: str) -> Path:
    beside = Path(sys.executable).parent  # not resolved: in a virtual environment, the environment's bin
    found = shutil.which(name, path=os.pathsep.join([str(beside), os.environ.get("PATH", os.defpath)]))
    if found is None:
        raise ProgramMissingError(
            f"{name} is neither in {beside} nor on the PATH: pip install 'trivyop[sandbox]' brings it"
        )
    return Path(found)
