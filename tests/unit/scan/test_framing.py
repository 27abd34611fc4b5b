"""Results in logs: what arrives is what was sent, or it is an error."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
import zlib
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivyop.scan.framing import BOM_PART, FAILURE_PART, RESULT_PART, FrameReader, Transmission
from trivyop.scan.script import FAILURE_BYTES, build_scan_script
from trivyop.trivy.failures import FramingError

SCAN_ID = "sha256-0123456789abcdef.2.feedbeef01"
RESULT = b'{"SchemaVersion": 2, "words": "' + bytes(random.Random(1).choices(b"abcdefgh ", k=700)) + b'"}'
BOM = b'{"bomFormat": "CycloneDX"}'


def body(data: bytes) -> list[str]:
    packer = zlib.compressobj(wbits=31)
    text = b64encode(packer.compress(data) + packer.flush()).decode()
    return [text[start : start + 76] for start in range(0, len(text), 76)]


def part(name: str, data: bytes, scan_id: str = SCAN_ID) -> list[str]:
    return [
        f"trivyop/1 begin scan={scan_id} part={name} encoding=gzip+base64",
        *body(data),
        f"trivyop/1 end scan={scan_id} part={name} bytes={len(data)} sha256={sha256(data).hexdigest()}",
    ]


def done(parts: int, exit_code: int = 0, scan_id: str = SCAN_ID) -> list[str]:
    line = f"trivyop/1 done scan={scan_id} parts={parts} exit={exit_code}"
    return [f"{line} check={sha256(line.encode()).hexdigest()[:16]}"]


def log_of(*lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for group in lines for line in group).encode()


LOG = log_of(part(RESULT_PART, RESULT), part(BOM_PART, BOM), done(2))


def read(log: bytes, *, chunk: int = 4096, max_bytes: int = 100_000) -> tuple[Transmission, dict[str, bytes]]:
    sinks: dict[str, io.BytesIO] = {}
    reader = FrameReader(SCAN_ID, lambda name: sinks.setdefault(name, io.BytesIO()), max_bytes=max_bytes)
    for start in range(0, len(log), chunk):
        reader.feed(log[start : start + chunk])
    return reader.finish(), {name: sink.getvalue() for name, sink in sinks.items()}


@pytest.mark.parametrize("chunk", [1, 2, 7, 76, 77, 4096])
def test_parts_arrive_whatever_the_chunks(chunk: int) -> None:
    transmission, parts = read(LOG, chunk=chunk)

    assert parts == {RESULT_PART: RESULT, BOM_PART: BOM}
    assert transmission.exit_code == 0
    assert {name: one.size for name, one in transmission.parts.items()} == {
        RESULT_PART: len(RESULT),
        BOM_PART: len(BOM),
    }


def test_every_truncation_is_detected() -> None:
    for end in range(len(LOG)):
        with pytest.raises(FramingError):
            read(LOG[:end])


def test_every_lost_beginning_is_detected() -> None:
    for start in range(1, len(LOG)):
        with pytest.raises(FramingError):
            read(LOG[start:])


def test_every_lost_stretch_is_detected() -> None:
    """A log that was rotated in the middle."""
    for start in range(0, len(LOG), 13):
        for length in (1, 2, 76, 77, 154):
            if start + length < len(LOG):
                with pytest.raises(FramingError):
                    read(LOG[:start] + LOG[start + length :])


@given(st.integers(0, len(LOG)), st.binary(min_size=1, max_size=100))
def test_insertion_is_detected_or_harmless(position: int, inserted: bytes) -> None:
    """Inside the frames nothing may be added; around them it may, and the parts are what was sent."""
    log = LOG[:position] + inserted + LOG[position:]
    try:
        transmission, parts = read(log)
    except FramingError:
        return
    assert parts == {RESULT_PART: RESULT, BOM_PART: BOM}
    assert transmission.exit_code == 0
    assert position in (0, len(LOG))


@given(st.integers(0, len(LOG) - 1), st.integers(1, 255))
def test_changed_byte_is_detected(position: int, change: int) -> None:
    damaged = bytearray(LOG)
    damaged[position] ^= change
    try:
        _, parts = read(bytes(damaged))
    except FramingError:
        return
    assert parts == {RESULT_PART: RESULT, BOM_PART: BOM}, "a byte of gzip's header that means nothing"


@given(st.permutations(range(LOG.count(b"\n"))))
@settings(max_examples=200)
def test_lines_in_another_order_are_detected(order: list[int]) -> None:
    lines = LOG.splitlines(keepends=True)
    if order == sorted(order):
        return
    try:
        _, parts = read(b"".join(lines[number] for number in order))
    except FramingError:
        return
    assert parts == {RESULT_PART: RESULT, BOM_PART: BOM}


@given(st.binary(max_size=3000), st.binary(max_size=300))
def test_noise_around_the_frames_is_kept_short(before: bytes, after: bytes) -> None:
    noise = before.replace(b"trivyop/1 ", b"") + b"\n"
    transmission, parts = read(noise + LOG + after.replace(b"trivyop/1 ", b""))

    assert parts[RESULT_PART] == RESULT
    assert len(transmission.log_tail) <= 40 * 401


def test_memory_does_not_grow_with_a_line_without_end() -> None:
    reader = FrameReader(SCAN_ID, lambda _: io.BytesIO(), max_bytes=1000)
    for _ in range(1000):
        reader.feed(b"x" * 10_000)
        assert len(reader._line) < 1000
    reader.feed(b"\n" + LOG[:200])

    with pytest.raises(FramingError, match="inside part"):
        reader.finish()


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (b"", "the log ends before the first part"),
        (b"sh: trivy: not found\n", "its last line is 'sh: trivy: not found'"),
        (log_of(part(RESULT_PART, RESULT)), "the log ends after part 'result.json'"),
        (log_of(part(RESULT_PART, RESULT)[:-1]), "the log ends inside part 'result.json'"),
        (log_of(part(RESULT_PART, RESULT), part(RESULT_PART, RESULT), done(2)), "comes twice"),
        (log_of(part(RESULT_PART, RESULT)[:2], part(BOM_PART, BOM), done(2)), "begins before the end"),
        (log_of(part(RESULT_PART, RESULT), ["WARN something"], done(1)), "a foreign line"),
        (log_of(part(RESULT_PART, RESULT), done(2)), "2 parts were sent and 1 arrived"),
        (log_of(part(RESULT_PART, RESULT, "other.1.x"), done(1)), "is of scan 'other.1.x'"),
        (log_of(part(RESULT_PART, RESULT), done(1, scan_id="other.1.x")), "is of scan 'other.1.x'"),
        (log_of(part(RESULT_PART, RESULT), done(1), part(BOM_PART, BOM)), "a frame after the last one"),
        (log_of(part(RESULT_PART, RESULT), done(1, exit_code=1)), "exit code 1 with the parts"),
        (log_of(part(FAILURE_PART, b"no"), done(1)), "exit code 0 with the parts"),
        (log_of(["trivyop/1 begin"]), "malformed frame line"),
        (log_of(part(RESULT_PART, RESULT)[:1] + part(RESULT_PART, RESULT)[2:]), "damaged"),
    ],
)
def test_what_is_wrong_is_named(log: bytes, message: str) -> None:
    with pytest.raises(FramingError) as caught:
        read(log)
    assert message in str(caught.value)


def test_wrong_hash_is_detected() -> None:
    lines = part(RESULT_PART, RESULT)
    lines[-1] = lines[-1].replace(sha256(RESULT).hexdigest(), "0" * 64)

    with pytest.raises(FramingError, match="another hash"):
        read(log_of(lines, done(1)))


def test_result_beyond_the_limit_is_refused_while_it_comes_in() -> None:
    """A few bytes can unpack to many; they never reach the sink."""
    with pytest.raises(FramingError, match="larger than 1000 bytes"):
        read(log_of(part(RESULT_PART, b"\0" * 5_000_000), done(1)), max_bytes=1000)


def test_empty_part_arrives() -> None:
    """Trivy said nothing and failed."""
    transmission, parts = read(log_of(part(FAILURE_PART, b""), done(1, exit_code=137)))

    assert transmission.exit_code == 137
    assert parts == {FAILURE_PART: b""}


SHELLS = [shell for shell in ("dash", "bash", "busybox", "sh") if shutil.which(shell)]


def run_script(shell: str, script: str) -> subprocess.CompletedProcess[bytes]:
    command = ["busybox", "sh"] if shell == "busybox" else [shell]
    return subprocess.run([*command, "-c", script], capture_output=True, check=False)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("size", [0, 1, 42, 57, 5_000, 300_000])
def test_shell_sends_files_of_any_size(shell: str, size: int, tmp_path: Path) -> None:
    """Sizes around the 76 characters of a line, and beyond one gzip block."""
    data = random.Random(size).randbytes(size)
    (tmp_path / "source").write_bytes(data)
    script = build_scan_script(
        SCAN_ID,
        directory=str(tmp_path / "scan"),
        scan=["cp", str(tmp_path / "source"), str(tmp_path / "scan" / RESULT_PART)],
        convert=["cp", str(tmp_path / "source"), str(tmp_path / "scan" / BOM_PART)],
    )

    ran = run_script(shell, script)

    transmission, parts = read(ran.stdout, max_bytes=1_000_000)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert transmission.exit_code == 0
    assert parts == {RESULT_PART: data, BOM_PART: data}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("exit_code", [1, 2, 124, 137, 255])
def test_every_exit_code_comes_with_the_end_of_the_errors(shell: str, exit_code: int, tmp_path: Path) -> None:
    """Not only 1: an out-of-memory kill or a crash has something to say as well."""
    complaint = f"head -c 9000 /dev/zero | tr '\\0' x; echo; echo 'FATAL it broke' >&2; exit {exit_code}"
    script = build_scan_script(SCAN_ID, directory=str(tmp_path / "scan"), scan=["sh", "-c", complaint])

    ran = run_script(shell, script)

    transmission, parts = read(ran.stdout)
    assert ran.returncode == exit_code
    assert transmission.exit_code == exit_code
    assert parts[FAILURE_PART].endswith(b"FATAL it broke\n")
    assert len(parts[FAILURE_PART]) == FAILURE_BYTES


@pytest.mark.parametrize("shell", SHELLS)
def test_failed_conversion_is_a_failure(shell: str, tmp_path: Path) -> None:
    script = build_scan_script(
        SCAN_ID,
        directory=str(tmp_path / "scan"),
        scan=["sh", "-c", f"echo '{{}}' >{tmp_path}/scan/{RESULT_PART}"],
        convert=["sh", "-c", "echo cannot convert >&2; exit 3"],
    )

    transmission, parts = read(run_script(shell, script).stdout)

    assert transmission.exit_code == 3
    assert parts == {FAILURE_PART: b"cannot convert\n"}


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40))
@settings(max_examples=30, deadline=None)
def test_words_stay_words(word: str) -> None:
    """Whatever a word contains, the program sees exactly that word."""
    script = build_scan_script(SCAN_ID, directory="/proc/self/nowhere", scan=["printf", "%s", word])

    ran = run_script(SHELLS[0], _command_of(script))

    assert ran.stdout == word.encode()


def _command_of(script: str) -> str:
    """The one command of a script, without where its output goes."""
    start = script.index("|| exit 1\n") + len("|| exit 1\n")
    return script[start : script.index(' >"$errors" 2>&1', start)]
