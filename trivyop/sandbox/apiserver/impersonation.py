"""Impersonation: acting as somebody else, for those who may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from trivyop.sandbox.apiserver import status
from trivyop.sandbox.apiserver.authn import AUTHENTICATED, User
from trivyop.sandbox.apiserver.authz import Access

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

    from trivyop.sandbox.apiserver.authz import Authorizer
    from trivyop.sandbox.apiserver.routing import RequestInfo

_NAME, _GROUP, _UID = "Impersonate-User", "Impersonate-Group", "Impersonate-Uid"


def impersonated(
    user: User, headers: CIMultiDictProxy[str], info: RequestInfo, authorizer: Authorizer
) -> User:
    """Return whom the request is to be done as; raises the 403 if ``user`` may not be them."""
    name, groups = headers.get(_NAME, ""), headers.getall(_GROUP, [])
    if not name:
        if groups or _UID in headers:
            listed = ", ".join(f'"{group}"' for group in groups)
            wanted = (
                f'&user.DefaultInfo{{Name:"", UID:"{headers.get(_UID, "")}",'
                f" Groups:[]string{{{listed}}}, Extra:map[string][]string(nil)}}"
            )
            raise status.bad_request(f"requested {wanted} without impersonating a user name")
        return user
    for access in _needed(name, groups):
        if authorizer.reason(user, access) is None:
            wish = Access.of(info)
            verb = f"impersonate-on:user-info:{wish.verb}"
            authorizer.check(
                user,
                Access(
                    verb, wish.group, wish.resource, wish.subresource, wish.namespace, wish.name, wish.path
                ),
            )
    return _user(name, groups, headers)


def _needed(name: str, groups: list[str]) -> list[Access]:
    match name.split(":"):
        case ["system", "serviceaccount", namespace, account]:
            first = Access("impersonate", resource="serviceaccounts", namespace=namespace, name=account)
        case _:
            first = Access("impersonate", resource="users", name=name)
    return [first, *(Access("impersonate", resource="groups", name=group) for group in groups)]


def _user(name: str, groups: list[str], headers: Mapping[str, str]) -> User:
    match name.split(":"):
        case ["system", "serviceaccount", namespace, _] if not groups:
            groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
        case _:
            pass
    return User(name, tuple(dict.fromkeys((*groups, AUTHENTICATED))), headers.get(_UID, ""))
