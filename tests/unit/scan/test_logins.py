"""What a user reads about logins: Secrets are blamed only for what is a matter of logins."""

from __future__ import annotations

import pytest

from trivyop.scan.logins import Logins
from trivyop.trivy.failures import classify

TRIED = Logins(tried=("pull secret shop/regcred (entry 'r.example.com')",))


def explained(logins: Logins, said: str) -> str:
    return logins.explain(classify(exit_code=1, stderr=f"x\tFATAL\tFatal error\t{said}")).remedy


@pytest.mark.parametrize(
    "said",
    [
        "GET https://r.example.com/v2/a/b/manifests/1: UNAUTHORIZED: authentication required",
        "GET https://r.example.com/v2/a/b/manifests/1: DENIED: requested access to the resource is denied",
    ],
)
def test_a_refused_login_is_named(said: str) -> None:
    assert explained(TRIED, said).startswith("The registry refused pull secret shop/regcred")


def test_a_login_that_has_run_out_is_to_be_renewed_and_not_corrected() -> None:
    remedy = explained(
        TRIED, "GET https://r.example.com/v2/a/b/manifests/1: DENIED: Your authorization token has expired."
    )

    assert remedy.startswith("Renew the pull secret: its login has run out.")
    assert "shop/regcred" in remedy
    assert "Correct the user" not in remedy


@pytest.mark.parametrize("logins", [TRIED, Logins(problems=("pull secret shop/other: it has no entries",))])
@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("GET https://r.example.com/v2/a/b/manifests/1: PROJECTPOLICYVIOLATION: not signed", "policy"),
        (
            "GET https://gcr.io/v2/a/b/manifests/1: DENIED: Container Registry is deprecated",
            "any more",
        ),
        (
            "GET https://r.azurecr.io/token: DENIED: client with IP '192.0.2.1' is not allowed access",
            "addresses",
        ),
    ],
)
def test_what_is_no_matter_of_logins_blames_none(logins: Logins, said: str, remedy: str) -> None:
    text = explained(logins, said)

    assert remedy in text
    assert "refused pull secret" not in text
    assert "None was used" not in text
