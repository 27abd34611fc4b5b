"""Causes of failed scans that Trivy's messages name, and what helps against each.

Not here: causes that lie in the cluster (``podcauses.py``), what helps where no cause is named
(``remedies.py``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trivyop.trivy.failureclasses import FailureClass


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause that messages of a class name, and what helps against it."""

    name: str  # for the documentation: "a quota is used up"
    pattern: re.Pattern[str]
    remedy: str


def cause(name: str, pattern: str, remedy: str) -> Cause:
    return Cause(name, re.compile(pattern, re.IGNORECASE), remedy)


# Within a class the first that fits counts.
CAUSES_IN_SCANS: dict[FailureClass, tuple[Cause, ...]] = {
    FailureClass.AUTH: (
        cause(
            "a login that has run out",
            r"token has expired|credentials? (?:have|has) expired",
            "Renew the pull secret: its login has run out.",
        ),
        cause(
            "a policy of the registry",
            r"PROJECTPOLICYVIOLATION|\b412 Precondition Failed|blocking policy",
            "The registry holds the image back by a policy of its own (its findings, its signature): exempt "
            "the image there, or the user that scans.",
        ),
        cause(
            "a registry that has ended, or an account that is locked",
            r"Container Registry is deprecated|\b402 Payment Required|\b451\b",
            "The registry does not give this image to anybody any more: see what it says, or pull the image "
            "from another one.",
        ),
    ),
    FailureClass.NOT_FOUND: (
        cause(
            "a part of an image",
            r"BLOB_UNKNOWN|/blobs/sha",
            "The registry has the image's manifest, but not all of its parts: push the image anew.",
        ),
        cause(
            "a digest",
            r"/manifests/sha(?:256|512):",
            "The registry does not have this digest in this repository: the image was deleted there, or "
            "the node has it from another repository.",
        ),
    ),
    FailureClass.UNSUPPORTED: (
        cause(
            "an artifact that is no image",
            r"unsupported artifact type",
            "None needed: it is no image, and there is nothing to scan in it.",
        ),
        cause(
            "a manifest of schema 1",
            r"manifest\.v1\+|issues/377",
            "Push the image anew with a current tool: its manifest has the old format of 2015, which "
            "Trivy does not read.",
        ),
        cause(
            "a layer or configuration that is damaged or encrypted",
            r"extract the archive|uncompressed layer|config file|layer content",
            "Push the image anew: a layer or its configuration is damaged, or encrypted.",
        ),
    ),
    FailureClass.TLS: (
        cause(
            "no TLS at all",
            r"server gave HTTP response|first record does not look like a TLS handshake",
            "The registry speaks plain HTTP: list it under trivy.nonSslRegistry.<name>.",
        ),
        cause(
            "TLS after all",
            r"HTTP request to an HTTPS server|malformed HTTP response",
            "The registry speaks TLS: take it out of trivy.nonSslRegistry.",
        ),
        cause(
            "a client certificate",
            r"tls: (?:bad certificate|certificate required)",
            "The registry asks for a client certificate, which Trivy does not send: pull the image through a "
            "mirror that does without (trivy.registry.mirror.<registry>).",
        ),
        cause(
            "a certificate for another name",
            r"certificate is (?:valid for|not valid for any)|doesn't contain any IP SANs|legacy Common Name",
            "The registry's certificate is for another name: use that name in the workload, or renew the "
            "certificate; trivy.insecureRegistry.<name> accepts it unchecked.",
        ),
        cause(
            "a certificate that has expired",
            r"has expired or is not yet valid",
            "Renew the registry's certificate, or look at the clock of the node; "
            "trivy.insecureRegistry.<name> accepts it unchecked.",
        ),
        cause(
            "an unknown certificate authority",
            r"unknown authority|self-signed",
            "Let Trivy trust the registry's certificate authority (trivy.sslCertDir); "
            "trivy.insecureRegistry.<name> accepts it unchecked.",
        ),
    ),
    FailureClass.NETWORK: (
        cause(
            "a proxy",
            r"proxyconnect|Proxy ?Authentication|\b407\b|"
            r"^Get \"https?://\S+: (?:Forbidden|[A-Z]\w+ [A-Z]\w+)$",
            "The proxy does not let scan pods through: correct trivy.httpsProxy or trivy.httpProxy, with "
            "a login if it asks for one, or leave the registry out of it (trivy.noProxy).",
        ),
        cause(
            "a firewall of the registry",
            r"is not allowed access",
            "The registry lets in certain addresses only: allow those that scan pods come from.",
        ),
        cause(
            "Rekor",
            r"rekor",
            "Scan pods cannot reach Rekor: take it out of trivy.sbomSources, or let them through.",
        ),
        cause(
            "repositories of VEX documents",
            r"vex repositor|vexhub",
            "Scan pods cannot reach the VEX repositories that trivy.configFile asks for: let them "
            "through, or take them out.",
        ),
        cause(
            "a web page instead of an answer",
            r"looking for beginning of value",
            "Something answers with a web page in the registry's place: look at proxies and at the "
            "registry's address.",
        ),
        cause(
            "a host name that DNS does not have",
            r"no such host",
            "Correct the registry's host in the workload, or let the cluster's DNS resolve it.",
        ),
        cause(
            "a DNS that does not answer",
            r"server misbehaving|failure in name resolution|lookup \S+ on \S+ (?:read|dial) ",
            "The cluster's DNS does not answer scan pods: look at it, and at network policies.",
        ),
        cause(
            "a registry that is in trouble",
            r"\b50[0234]\b|UNAVAILABLE|INTERNAL_ERROR|\bUNKNOWN: ",
            "The registry has an error of its own; the scan is tried again by itself.",
        ),
    ),
    FailureClass.TIMEOUT: (
        cause(
            "a registry that does not answer",
            r"^(?:exit code \d+: )?Get \"https?://[^/\"]+/v2/\":",  # the first request of all
            "The registry does not answer scan pods at all: check network policies, firewalls, proxies.",
        ),
    ),
    FailureClass.DISK: (
        cause(
            "a directory that cannot be written",
            r"read-only file system|permission denied|operation not permitted",
            "Let trivy.imageScanCacheDir be below /tmp, or mount a volume there that can be written "
            "(scanJob.customVolumes).",
        ),
    ),
    FailureClass.DATABASE: (
        cause(
            "a newer format",
            r"version of DB schema doesn't match",
            "The database has another format than this Trivy reads: bring trivy.tag and "
            "trivy.dbRepository together.",
        ),
        cause(
            "an older format",
            r"old DB schema",
            "The database has an older format than this Trivy reads: bring trivy.tag and "
            "trivy.dbRepository together.",
        ),
        cause(
            "a Java database that is not fetched",
            r"skip-java-db-update",
            "Scan pods start without a Java database: set trivy.skipJavaDBUpdate to false, or give them one.",
        ),
        cause(
            "no database",
            r"skip-db-update|first run cannot skip",
            "There is no database where the scan looks for one (trivy.imageScanCacheDir); the step "
            "before it fetches it.",
        ),
        cause(
            "a database that is damaged",
            r"failed to open db|invalid database|file size too small",
            "The database is damaged; the scan is tried again with another copy. If that does not help, "
            "delete what is in trivy.imageScanCacheDir.",
        ),
        cause(
            "a rate limit",
            r"TOOMANYREQUESTS|Too Many Requests|\b429\b|rate limit",
            "The registry of the databases limits how often it may be asked: name a copy of your own in "
            "trivy.dbRepository and trivy.javaDbRepository, or a login (trivy.dbRepositoryUsername).",
        ),
        cause(
            "a login",
            r"UNAUTHORIZED|DENIED|\b40[13]\b|unauthenticated",
            "The registry of the databases asks for a login: trivy.dbRepositoryUsername and "
            "trivy.dbRepositoryPassword.",
        ),
        cause(
            "something that is no database",
            r"title is missing|unacceptable media type|MANIFEST_UNKNOWN|NAME_UNKNOWN|\b404\b",
            "There is no database under that name: correct trivy.dbRepository or trivy.javaDbRepository.",
        ),
        cause(
            "a certificate",
            r"x509:|tls: |server gave HTTP response",
            "Let Trivy trust the registry of the databases (trivy.sslCertDir), or set "
            "trivy.dbRepositoryInsecure.",
        ),
        cause(
            "a proxy",
            r"proxyconnect|Proxy ?Authentication|: Forbidden$",
            "The proxy does not let scan pods through to the databases: correct trivy.httpsProxy, or name "
            "a copy that they can reach in trivy.dbRepository and trivy.javaDbRepository.",
        ),
    ),
    FailureClass.TRIVY_SERVER: (
        cause(
            "a token",
            r"unauthenticated|permission_denied|\b40[13]\b",
            "The Trivy server refuses the token: correct trivy.serverToken and trivy.serverTokenHeader, "
            "or the headers that something in front of it asks for (trivy.serverCustomHeaders).",
        ),
        cause(
            "another address",
            r"bad_route|\b404\b|\b30[1278]\b|no such host",
            "There is no Trivy server under that address: correct trivy.serverURL.",
        ),
        cause(
            "a certificate",
            r"x509:|tls: |server gave HTTP response",
            "The Trivy server's certificate is not trusted, or it speaks no TLS: correct trivy.serverURL, "
            "or set trivy.serverInsecure.",
        ),
        cause(
            "a server that does not answer",
            r"connection (?:refused|reset)|i/o timeout|deadline exceeded|unavailable|\b50[234]\b|no route",
            "The Trivy server does not answer: look at its pods, its service (trivy.serverURL) and at "
            "network policies; the scan is tried again by itself.",
        ),
    ),
    FailureClass.CONFIGURATION: (
        cause(
            "a flag that this Trivy does not have",
            r"unknown (?:shorthand )?flag",
            "Trivy's version is too old, or too new, for this operator: correct trivy.tag.",
        ),
        cause(
            "a file that is not there",
            r"no such file|file not found",
            "A file that the message names is not in scan pods: mount it (scanJob.customVolumes), or take "
            "it out of trivy.configFile.",
        ),
        cause(
            "an ignore policy",
            r"apply the policy",
            "Correct the policy in trivy.ignorePolicy: the message says where.",
        ),
        cause(
            "the configuration file",
            r"config file",
            "Correct trivy.configFile: the message says where.",
        ),
        cause(
            "an ignore file",
            r"parse error: yaml",
            "Correct trivy.ignoreFile: the message says where.",
        ),
        cause(
            "a database's name",
            r"invalid DB repository",
            "Correct trivy.dbRepository or trivy.javaDbRepository: it is no image reference.",
        ),
        cause(
            "a value",
            r"invalid argument",
            "Correct the value that the message names, in the setting or in trivy.configFile.",
        ),
    ),
    FailureClass.SCANNER: (
        cause(
            "a cache in use",
            r"cache may be in use by another process",
            "Scan pods share a cache: let each have its own (trivy.imageScanCacheDir, "
            "scanJob.customVolumes).",
        ),
        cause(
            "an answer of the registry",
            r"^(?:exit code \d+: )?(?:GET|HEAD|POST) https?://",
            "The registry gave an answer that fits no other class: look at the registry.",
        ),
    ),
}
