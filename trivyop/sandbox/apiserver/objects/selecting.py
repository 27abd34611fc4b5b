"""Label selectors of objects (``spec.selector``): whether they match, and as text."""

from __future__ import annotations

from typing import Any

from trivyop.sandbox.apiserver.objects.plain import fields_at, list_at


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a LabelSelector matches; an empty one matches everything."""
    wanted: dict[str, str] = fields_at(selector, "matchLabels")
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_fits(expression, labels) for expression in list_at(selector, "matchExpressions"))


def _fits(expression: dict[str, Any], labels: dict[str, str]) -> bool:
    value = labels.get(expression.get("key", ""))
    match expression.get("operator"):
        case "In":
            return value is not None and value in list_at(expression, "values")
        case "NotIn":
            return value is None or value not in list_at(expression, "values")
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return False


def shown(selector: dict[str, Any] | None) -> str:
    """A LabelSelector as the server writes it into tables and scales: ``app=web,tier in (a,b)``."""
    if not selector:
        return ""
    parts = [(key, f"{key}={value}") for key, value in fields_at(selector, "matchLabels").items()]
    for expression in list_at(selector, "matchExpressions"):
        key, values = expression.get("key", ""), ",".join(sorted(list_at(expression, "values")))
        text = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }.get(expression.get("operator"), key)
        parts.append((key, text))
    return ",".join(text for _, text in sorted(parts))
