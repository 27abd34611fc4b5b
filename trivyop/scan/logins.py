"""Logins of a scan: which were tried, what was wrong with others, and what a user reads if the registry
refuses.

They are written on the scan Job when it is created, and read from there when it has failed: by then the
Secrets may be others, and the operator may have started anew.

Promises: pure; no user name or password is in it, only names of Secrets and of their entries.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Self

import msgspec

from trivyop.scan.credentials import Credential, PullSecrets
from trivyop.trivy.failureclasses import FailureClass
from trivyop.trivy.failures import Failure
from trivyop.trivy.remedies import GENERAL

LOGINS_ANNOTATION: Final = "trivyop.dev/logins"
_MAX_PROBLEMS: Final = 5
_MAX_SERVERS: Final = 3


class Logins(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a scan had to log in with."""

    tried: tuple[str, ...] = ()  # "pull secret shop/regcred (entry registry.example.com)"
    problems: tuple[str, ...] = ()  # of other pull secrets and entries

    @classmethod
    def of(
        cls, image: str, read: PullSecrets, picked: tuple[Credential, ...], missing: tuple[str, ...]
    ) -> Self:
        """For ``image``: what was read of its pull secrets and picked of that, what could not be read."""
        tried = tuple(_tried(one) for one in picked if one.username)
        fitting = {one.origin for one in picked}
        others: dict[str, list[str]] = {}
        for one in read.credentials:
            if one.origin not in fitting:
                others.setdefault(one.origin, []).append(str(one.server))
        unfit = tuple(
            f"pull secret {origin}: no entry fits {image}, it has {_listed(servers)}"
            for origin, servers in others.items()
        )
        odd = tuple(
            f"pull secret {one.origin}: entry {str(one.server)!r}: {one.oddity}"
            for one in picked
            if one.oddity and not one.username
        )
        return cls(tried, (*missing, *read.problems, *odd, *unfit)[:_MAX_PROBLEMS])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the annotation; what somebody made of it is as if there were none."""
        try:
            return msgspec.json.decode(text or "{}", type=cls)
        except msgspec.MsgspecError:
            return cls()

    def text(self) -> str:
        """The value of the annotation."""
        return msgspec.json.encode(self).decode()

    def explain(self, why: Failure) -> Failure:
        """The failure with a remedy that names Secrets, if a login may have been its cause."""
        problems = f" Not used: {'; '.join(self.problems)}." if self.problems else ""
        match why.failure_class:
            case FailureClass.AUTH if self.tried and why.remedy != GENERAL[FailureClass.AUTH]:
                remedy = f"{why.remedy} The scan logged in with {', '.join(self.tried)}."
            case FailureClass.AUTH if why.remedy != GENERAL[FailureClass.AUTH]:
                return why
            case FailureClass.AUTH if self.tried:
                given = f"The registry refused {', '.join(self.tried)}."
                remedy = f"{given} Correct the user or password there, or let that user read the image."
            case FailureClass.AUTH if self.problems:
                return replace(why, remedy=f"{why.remedy} None was used: {'; '.join(self.problems)}.")
            case FailureClass.NOT_FOUND if self.problems and not self.tried:
                remedy = f"{why.remedy} It may also hide it from scans without a login."
            case _:
                return why
        return replace(why, remedy=f"{remedy}{problems}")


def _tried(credential: Credential) -> str:
    odd = f": {credential.oddity}" if credential.oddity else ""
    return f"pull secret {credential.origin} (entry {str(credential.server)!r}{odd})"


def _listed(servers: list[str]) -> str:
    shown = ", ".join(repr(server) for server in servers[:_MAX_SERVERS])
    more = len(servers) - _MAX_SERVERS
    return f"{shown} and {more} more" if more > 0 else shown
