"""Vulnerabilities of packages for Node.js and Java.

Sources, each by the CVE's id: nvd.nist.gov/vuln/detail/ID (scores, weaknesses, dates), and the advisory in
github.com/advisories whose GHSA id is given (ranges of versions, GitHub's own rating).
"""

from __future__ import annotations

from trivyop.sandbox.registry.facts.model import (
    MAVEN,
    NPM,
    REMOTE_ALL,
    Affected,
    Score,
    Severity,
    Vulnerability,
)

_LOG4J = "org.apache.logging.log4j:log4j-core"

NODE = (
    Vulnerability(
        "CVE-2021-23337",
        "lodash: command injection by template",
        "Options of the template function end up in code that runs.",
        (Affected(NPM, "lodash", ranges=(("", "4.17.21"),), vendor_ids=("GHSA-35jh-r3h4-6jhm",)),),
        {
            "ghsa": Score(7.2, "AV:N/AC:L/PR:H/UI:N/S:U/C:H/I:H/A:H"),
            "nvd": Score(7.2, "AV:N/AC:L/PR:H/UI:N/S:U/C:H/I:H/A:H"),
        },
        weaknesses=("CWE-94",),
        references=("https://github.com/advisories/GHSA-35jh-r3h4-6jhm",),
        published="2021-02-15T13:15:12.56Z",
    ),
    Vulnerability(
        "CVE-2020-28500",
        "lodash: slow regular expressions in toNumber, trim and trimEnd",
        "Long runs of blanks take time that grows with their square.",
        (Affected(NPM, "lodash", ranges=(("4.0.0", "4.17.21"),), vendor_ids=("GHSA-29mw-wpgm-hmr9",)),),
        {"nvd": Score(5.3, "AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:L")},
        {"ghsa": Severity.MEDIUM},
        references=("https://github.com/advisories/GHSA-29mw-wpgm-hmr9",),
        published="2021-02-15T11:15:12.397Z",
    ),
    Vulnerability(
        "CVE-2020-7598",
        "minimist: properties of Object.prototype can be set by arguments",
        "An argument like --__proto__.x=1 changes all objects of the program.",
        (
            Affected(
                NPM,
                "minimist",
                ranges=(("", "0.2.1"), ("1.0.0", "1.2.3")),
                vendor_ids=("GHSA-vh95-rmgr-6w4m",),
            ),
        ),
        {"nvd": Score(5.6, "AV:N/AC:H/PR:N/UI:N/S:U/C:L/I:L/A:L")},
        {"ghsa": Severity.MEDIUM},
        weaknesses=("CWE-1321",),
        references=("https://github.com/advisories/GHSA-vh95-rmgr-6w4m",),
        published="2020-03-11T23:15:11.917Z",
    ),
    Vulnerability(
        "CVE-2021-44906",
        "minimist: prototype pollution by setKey",
        "The fix of CVE-2020-7598 left other ways to change Object.prototype by arguments.",
        (
            Affected(
                NPM,
                "minimist",
                ranges=(("", "0.2.4"), ("1.0.0", "1.2.6")),
                vendor_ids=("GHSA-xvch-5gv4-984h",),
            ),
        ),
        {"ghsa": Score(9.8, REMOTE_ALL), "nvd": Score(9.8, REMOTE_ALL)},
        weaknesses=("CWE-1321",),
        references=("https://github.com/advisories/GHSA-xvch-5gv4-984h",),
        published="2022-03-17T16:15:07.51Z",
    ),
)

JAVA = (
    Vulnerability(
        "CVE-2021-44228",
        "log4j-core: text in a log message runs code from elsewhere",
        "JNDI look-ups in log messages run classes from servers that an attacker names (Log4Shell).",
        (
            Affected(
                MAVEN,
                _LOG4J,
                ranges=(("2.13.0", "2.15.0"), ("2.4", "2.12.2"), ("2.0-beta9", "2.3.1")),
                vendor_ids=("GHSA-jfh8-c2jp-5v3q",),
            ),
        ),
        {
            "ghsa": Score(10.0, "AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"),
            "nvd": Score(10.0, "AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"),
        },
        weaknesses=("CWE-20", "CWE-400", "CWE-502", "CWE-917"),
        references=(
            "https://logging.apache.org/log4j/2.x/security.html",
            "https://github.com/advisories/GHSA-jfh8-c2jp-5v3q",
        ),
        published="2021-12-10T10:15:09.143Z",
        modified="2025-10-27T17:40:33.68Z",
    ),
    Vulnerability(
        "CVE-2021-45046",
        "log4j-core: thread context look-ups still reach JNDI",
        "The fix of CVE-2021-44228 left patterns that look up data an attacker can set.",
        (
            Affected(
                MAVEN,
                _LOG4J,
                ranges=(("2.13.0", "2.16.0"), ("2.0-beta9", "2.12.2")),
                vendor_ids=("GHSA-7rjr-3q55-vv33",),
            ),
        ),
        {"nvd": Score(9.0, "AV:N/AC:H/PR:N/UI:N/S:C/C:H/I:H/A:H")},
        {"ghsa": Severity.CRITICAL},
        weaknesses=("CWE-917",),
        references=("https://github.com/advisories/GHSA-7rjr-3q55-vv33",),
        published="2021-12-14T19:15:07.733Z",
    ),
    Vulnerability(
        "CVE-2021-45105",
        "log4j-core: look-ups that contain themselves never end",
        "A thread context value that refers to itself makes the logger recurse until the process dies.",
        (
            Affected(
                MAVEN,
                _LOG4J,
                ranges=(("2.13.0", "2.17.0"), ("2.4.0", "2.12.3"), ("2.0-beta9", "2.3.1")),
                vendor_ids=("GHSA-p6xc-xr62-6r2g",),
            ),
        ),
        {
            "ghsa": Score(8.6, "AV:N/AC:L/PR:N/UI:N/S:C/C:N/I:N/A:H"),
            "nvd": Score(5.9, "AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:N/A:H"),
        },
        weaknesses=("CWE-20", "CWE-674"),
        references=("https://github.com/advisories/GHSA-p6xc-xr62-6r2g",),
        published="2021-12-18T12:15:07.433Z",
    ),
    Vulnerability(
        "CVE-2022-42889",
        "commons-text: text in a template runs code",
        "The default look-ups of StringSubstitutor include scripts and URLs (Text4Shell).",
        (
            Affected(
                MAVEN,
                "org.apache.commons:commons-text",
                ranges=(("1.5", "1.10.0"),),
                vendor_ids=("GHSA-599f-7c49-w659",),
            ),
        ),
        {"ghsa": Score(9.8, REMOTE_ALL), "nvd": Score(9.8, REMOTE_ALL)},
        weaknesses=("CWE-94",),
        references=("https://github.com/advisories/GHSA-599f-7c49-w659",),
        published="2022-10-13T13:15:10.113Z",
    ),
)
