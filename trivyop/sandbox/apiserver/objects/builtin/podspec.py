"""Pod specs: their defaults and checks, shared by pods and by all that make pods from a template.

Promises: defaults only fill in what is absent, so doing it twice is doing it once.
Not here: what only pods get (``pods``); most rules about volumes, ports and probes (not needed yet).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from trivyop.sandbox.apiserver.objects import names
from trivyop.sandbox.apiserver.objects.names import forbidden, invalid_value, not_supported, required
from trivyop.sandbox.apiserver.objects.plain import fields_at, is_object, list_at
from trivyop.sandbox.apiserver.objects.refusals import FieldError
from trivyop.sandbox.apiserver.objects.scalars import parse_quantity
from trivyop.sandbox.apiserver.objects.validation import quoted

Fields = dict[str, Any]

_FILE_MODE: Final = 0o644
_VOLUMES_WITH_MODE: Final = ("secret", "configMap", "downwardAPI", "projected")
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_RESTART_POLICIES: Final = ("Always", "OnFailure", "Never")
_DNS_POLICIES: Final = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_NOT_WITH_USER_NAMESPACES: Final = {"hostNetwork": "hostNetwork", "hostPID": "HostPID", "hostIPC": "HostIPC"}
_PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")


def default_pod_spec(spec: Fields) -> None:
    """Fill in what every pod spec gets, also in a template."""
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for volume in list_at(spec, "volumes"):
        _default_volume(volume)
    for container in containers_of(spec):
        default_container(container)
        if spec.get("hostNetwork"):
            for port in list_at(container, "ports"):
                port.setdefault("hostPort", port.get("containerPort"))
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")


def containers_of(spec: Fields) -> Iterator[Fields]:
    """All containers, init and ephemeral ones too."""
    for part in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(part) or ()


def default_container(container: Fields) -> None:
    """Fill in what every container gets."""
    for port in list_at(container, "ports"):
        port.setdefault("protocol", "TCP")
    for variable in list_at(container, "env"):
        _default_field_ref(variable.get("valueFrom"))
    for part in _PROBES:
        if probe := container.get(part):
            _default_probe(probe)
    for hook in fields_at(container, "lifecycle").values():
        if is_object(hook):
            _default_handler(hook)
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    if "imagePullPolicy" not in container:
        container["imagePullPolicy"] = _pull_policy(container.get("image", ""))


def _pull_policy(image: str) -> str:
    """A tag that says ``latest``, or no tag at all, may move at any time."""
    _, digest, _ = image.partition("@")
    if digest:
        return "IfNotPresent"
    _, _, last = image.rpartition("/")
    _, colon, tag = last.partition(":")
    return "IfNotPresent" if colon and tag != "latest" else "Always"


def _default_probe(probe: Fields) -> None:
    _default_handler(probe)
    probe.setdefault("timeoutSeconds", 1)
    probe.setdefault("periodSeconds", 10)
    probe.setdefault("successThreshold", 1)
    probe.setdefault("failureThreshold", 3)


def _default_handler(handler: Fields) -> None:
    if http := handler.get("httpGet"):
        http.setdefault("path", "/")
        http.setdefault("scheme", "HTTP")
    if grpc := handler.get("grpc"):
        grpc.setdefault("service", "")


def _default_field_ref(source: Fields | None) -> None:
    if source and (reference := source.get("fieldRef")) is not None:
        reference.setdefault("apiVersion", "v1")


def _default_volume(volume: Fields) -> None:
    if len(volume) == 1:
        volume["emptyDir"] = {}
    for part in _VOLUMES_WITH_MODE:
        if source := volume.get(part):
            source.setdefault("defaultMode", _FILE_MODE)
    if (source := volume.get("hostPath")) is not None:
        source.setdefault("type", "")
    for item in list_at(volume, "downwardAPI", "items"):
        _default_field_ref(item)
    for source in list_at(volume, "projected", "sources"):
        if token := source.get("serviceAccountToken"):
            token.setdefault("expirationSeconds", 3600)
        for item in list_at(source, "downwardAPI", "items"):
            _default_field_ref(item)
    if claim := fields_at(volume, "ephemeral").get("volumeClaimTemplate"):
        claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def check_pod_spec(spec: Fields, field: str) -> list[FieldError]:
    """The errors that anybody meets: names, images, policies, resources, volume mounts."""
    errors: list[FieldError] = []
    volumes = _check_volumes(list_at(spec, "volumes"), f"{field}.volumes", errors)
    seen: set[str] = set()
    if not spec.get("containers"):
        errors.append(required(f"{field}.containers"))
    for part in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(part) or ()):
            _check_container(container, f"{field}.{part}[{index}]", volumes, seen, errors)
    if (policy := spec.get("restartPolicy")) not in _RESTART_POLICIES:
        errors.append(not_supported(f"{field}.restartPolicy", policy, _RESTART_POLICIES))
    if (policy := spec.get("dnsPolicy")) not in _DNS_POLICIES:
        errors.append(not_supported(f"{field}.dnsPolicy", policy, _DNS_POLICIES))
    if (account := spec.get("serviceAccountName")) is not None:
        errors += [
            invalid_value(f"{field}.serviceAccountName", account, message)
            for message in names.dns_subdomain(account)
        ]
    if (seconds := spec.get("activeDeadlineSeconds")) is not None and not 1 <= seconds <= 2**31 - 1:
        message = "must be between 1 and 2147483647, inclusive"
        errors.append(invalid_value(f"{field}.activeDeadlineSeconds", seconds, message))
    if spec.get("hostUsers") is False:
        errors += [
            forbidden(f"{field}.{name}", "when `hostUsers` is false")
            for part, name in _NOT_WITH_USER_NAMESPACES.items()
            if spec.get(part)
        ]
    if is_object(whole := spec.get("resources")):
        _check_resources(whole, f"{field}.resources", errors)
        errors += _check_within_pod(spec, whole, field)
    return errors


def _check_within_pod(spec: Fields, whole: Fields, field: str) -> Iterator[FieldError]:
    """No container's limit is above the pod's."""
    most = fields_at(whole, "limits")
    for index, container in enumerate(spec.get("containers") or ()):
        for name, limit in fields_at(container, "resources", "limits").items():
            if name in most and parse_quantity(limit) > parse_quantity(most[name]):
                place = f"{field}.containers[{index}][{name}].limits"  # the server's own order
                yield invalid_value(place, limit, f"must be less than or equal to pod limits of {most[name]}")


def _check_volumes(volumes: list[Fields], field: str, errors: list[FieldError]) -> set[str]:
    found: set[str] = set()
    for index, volume in enumerate(volumes):
        place, name = f"{field}[{index}].name", volume.get("name", "")
        if not name:
            errors.append(required(place))
        else:
            errors += [invalid_value(place, name, message) for message in names.dns_label(name)]
        if name in found:
            errors.append(FieldError("FieldValueDuplicate", place, f"Duplicate value: {quoted(name)}"))
        found.add(name)
    return found


def _check_container(
    container: Fields, field: str, volumes: set[str], seen: set[str], errors: list[FieldError]
) -> None:
    name = container.get("name", "")
    if not name:
        errors.append(required(f"{field}.name"))
    else:
        errors += [invalid_value(f"{field}.name", name, message) for message in names.dns_label(name)]
        if name in seen:
            errors.append(
                FieldError("FieldValueDuplicate", f"{field}.name", f"Duplicate value: {quoted(name)}")
            )
        seen.add(name)
    image = container.get("image", "")
    if not image:
        errors.append(required(f"{field}.image"))
    elif image != image.strip():
        errors.append(invalid_value(f"{field}.image", image, "must not have leading or trailing whitespace"))
    if (policy := container.get("imagePullPolicy")) not in _PULL_POLICIES:
        errors.append(not_supported(f"{field}.imagePullPolicy", policy, _PULL_POLICIES))
    paths: set[str] = set()
    for index, mount in enumerate(list_at(container, "volumeMounts")):
        if mount.get("name") not in volumes:
            place = f"{field}.volumeMounts[{index}].name"
            errors.append(
                FieldError("FieldValueNotFound", place, f"Not found: {quoted(mount.get('name', ''))}")
            )
        path, place = mount.get("mountPath"), f"{field}.volumeMounts[{index}].mountPath"
        if not path:
            errors.append(required(place))
        elif path in paths:
            errors.append(invalid_value(place, path, "must be unique"))
        paths.add(path or "")
    _check_resources(fields_at(container, "resources"), f"{field}.resources", errors)


def _check_resources(resources: Fields, field: str, errors: list[FieldError]) -> None:
    limits, requests = fields_at(resources, "limits"), fields_at(resources, "requests")
    for name, wanted in requests.items():
        limit = limits.get(name)
        if limit is not None and parse_quantity(wanted) > parse_quantity(limit):
            message = f"must be less than or equal to {name} limit of {limit}"
            errors.append(invalid_value(f"{field}.requests", wanted, message))
