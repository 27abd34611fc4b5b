"""Authorization: RBAC, read off the roles and bindings in storage.

The rules of a subject are collected once and kept until a role or binding changes; a role that aggregates
others is filled in soon after one of them changed.

Promises: who is not allowed is told so in the words of the real server. ``system:masters`` may do all.
Not here: keeping people from granting more than they have (the real server does).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trivyop.sandbox.apiserver import status
from trivyop.sandbox.apiserver.objects.plain import list_at
from trivyop.sandbox.apiserver.selectors import matches, selector_of

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.authn import User
    from trivyop.sandbox.apiserver.kinds import Kinds
    from trivyop.sandbox.apiserver.routing import RequestInfo
    from trivyop.sandbox.apiserver.storage import Change

Obj = dict[str, Any]
GROUP = "rbac.authorization.k8s.io"
_PLURALS = ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
MASTERS = "system:masters"
_NO_ROLES = ': RBAC: clusterrole.rbac.authorization.k8s.io "system:basic-user" not found'


@dataclass(frozen=True, slots=True)
class Access:
    """What someone wants to do; ``path`` only if it is not about a resource."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @classmethod
    def of(cls, info: RequestInfo) -> Access:
        """Read the access off a request."""
        if not info.resource:
            return cls(info.verb, path=info.path)
        name = info.name or info.selected_name
        return cls(info.verb, info.group, info.resource, info.subresource, info.namespace, name)

    @property
    def full_resource(self) -> str:
        """The resource as rules name it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(frozen=True, slots=True)
class _Grant:
    """One role's rules, bound to one subject."""

    namespace: str  # empty: everywhere
    rules: list[Obj]
    reason: str


class Authorizer:
    """Decides what is allowed."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._grants: dict[str, list[_Grant]] | None = None

    def start(self) -> None:
        """Follow the roles and bindings."""
        for plural in _PLURALS:
            self._kinds.get(GROUP, "v1", plural).bucket.watchers.add(self._changed)

    def forget(self) -> None:
        """Read the roles and bindings anew at the next question."""
        self._grants = None

    def check(self, user: User, access: Access) -> None:
        """Raise the 403 if ``user`` may not."""
        if self.reason(user, access) is None:
            raise _forbidden(user, access)

    @staticmethod
    def is_master(user: User) -> bool:
        """Whether ``user`` may do all, whatever roles say."""
        return MASTERS in user.groups

    @staticmethod
    def denial(user: User, access: Access, *, loaded: bool = True) -> status.Refused:
        """Build the 403; before roles are `loaded`, it says that they are not found."""
        return _forbidden(user, access, "" if loaded else _NO_ROLES)

    def reason(self, user: User, access: Access) -> str | None:
        """Return why the access is allowed (may be empty), or None if it is not."""
        if MASTERS in user.groups:
            return ""
        for grant in self._grants_of(user):
            if grant.namespace in ("", access.namespace) and any(_covers(r, access) for r in grant.rules):
                return grant.reason
        return None

    def rules(self, user: User, namespace: str) -> list[Obj]:
        """Return all that ``user`` may do in a namespace, as rules."""
        if MASTERS in user.groups:
            resources = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            return [resources, {"verbs": ["*"], "nonResourceURLs": ["*"]}]
        grants = [grant for grant in self._grants_of(user) if grant.namespace in ("", namespace)]
        return [rule for grant in grants for rule in grant.rules]

    def _grants_of(self, user: User) -> Iterator[_Grant]:
        if self._grants is None:
            self._grants = self._collect()
        yield from self._grants.get(f"User/{user.name}", ())
        for group in user.groups:
            yield from self._grants.get(f"Group/{group}", ())

    def _collect(self) -> dict[str, list[_Grant]]:
        grants: dict[str, list[_Grant]] = {}
        for plural, kind in (("clusterrolebindings", "ClusterRoleBinding"), ("rolebindings", "RoleBinding")):
            for stored in self._kinds.get(GROUP, "v1", plural).bucket:
                binding = stored.obj()
                role = binding["roleRef"]
                rules = self._rules(role, stored.namespace)
                if rules is None:
                    continue
                where = f"{stored.name}/{stored.namespace}" if stored.namespace else stored.name
                by = f'RBAC: allowed by {kind} "{where}" of {role["kind"]} "{role["name"]}" to'
                for subject in binding.get("subjects") or ():
                    key, shown = _subject(subject)
                    grant = _Grant(stored.namespace, rules, f'{by} {subject["kind"]} "{shown}"')
                    grants.setdefault(key, []).append(grant)
        return grants

    def _rules(self, role: Obj, namespace: str) -> list[Obj] | None:
        plural, where = ("roles", namespace) if role["kind"] == "Role" else ("clusterroles", "")
        stored = self._kinds.get(GROUP, "v1", plural).bucket.get(where, role["name"])
        return None if stored is None else stored.obj().get("rules") or []

    def _changed(self, change: Change) -> None:
        self.forget()
        state = change.new or change.gone
        if state is not None and not state.namespace:
            asyncio.get_running_loop().call_soon(self._aggregate)

    def _aggregate(self) -> None:
        """Fill in the cluster roles that collect the rules of others."""
        roles = self._kinds.get(GROUP, "v1", "clusterroles")
        for stored in list(roles.bucket):
            if b'"aggregationRule"' not in stored.body:
                continue
            role = stored.obj()
            selectors: list[Obj] = list_at(role, "aggregationRule", "clusterRoleSelectors")
            rules: list[Obj] = []
            for other in roles.bucket:
                if other.name == stored.name or not any(
                    matches(selector_of(s), other.labels) for s in selectors
                ):
                    continue
                rules.extend(rule for rule in other.obj().get("rules") or () if rule not in rules)
            if rules != (role.get("rules") or []):
                roles.bucket.put(role | {"rules": rules})


def _subject(subject: Obj) -> tuple[str, str]:
    """Return the key to find a subject by, and how messages show it."""
    if subject["kind"] == "ServiceAccount":
        namespace = subject.get("namespace", "")
        return f"User/system:serviceaccount:{namespace}:{subject['name']}", f"{subject['name']}/{namespace}"
    return f"{subject['kind']}/{subject['name']}", subject["name"]


def _covers(rule: Obj, access: Access) -> bool:
    if not _any(rule.get("verbs"), access.verb):
        return False
    if access.path:
        return any(_path_covers(path, access.path) for path in rule.get("nonResourceURLs") or ())
    names = rule.get("resourceNames")
    return (
        _any(rule.get("apiGroups"), access.group)
        and _resource_covered(rule.get("resources") or (), access)
        and (not names or access.name in names)
    )


def _any(allowed: list[str] | None, wanted: str) -> bool:
    return bool(allowed) and ("*" in allowed or wanted in allowed)


def _resource_covered(resources: list[str] | tuple[()], access: Access) -> bool:
    if "*" in resources or access.full_resource in resources:
        return True
    return bool(access.subresource) and f"*/{access.subresource}" in resources


def _path_covers(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def _forbidden(user: User, access: Access, reason: str = "") -> status.Refused:
    if access.path:
        message = f'forbidden: User "{user.name}" cannot {access.verb} path "{access.path}"{reason}'
        return status.Refused(403, "Forbidden", message, {})
    scope = f'in the namespace "{access.namespace}"' if access.namespace else "at the cluster scope"
    why = (
        f'User "{user.name}" cannot {access.verb} resource "{access.full_resource}"'
        f' in API group "{access.group}" {scope}{reason}'
    )
    return status.forbidden(access.group, access.resource, access.name, why)
