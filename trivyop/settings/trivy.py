"""Settings of Trivy itself: its image and mode, databases, what it looks for, how it reaches registries."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from trivyop.settings import images, kinds, yamltexts
from trivyop.settings.choices import PullPolicy, SbomSource, TrivyCommand, TrivyMode, VulnType
from trivyop.settings.kinds import SecretText
from trivyop.settings.setting import IN_TRIVY_CONFIG, Affects, family, setting


class SeverityName(StrEnum):
    UNKNOWN = "UNKNOWN"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrivySettings:
    """How Trivy is run, in scan pods and by the operator itself."""

    repository: str = setting(
        "trivy.repository",
        images.REPOSITORY,
        "mirror.gcr.io/aquasec/trivy",
        "Image of Trivy, without tag or digest.",
        sources=IN_TRIVY_CONFIG,
    )
    tag: str = setting(
        "trivy.tag",
        images.TAG,
        "0.76.0",
        "Tag of Trivy's image, its digest, or both as `tag@sha256:...`. Versions from 0.57.0 on are "
        "supported; a tag that is no version counts as a recent one.",
        sources=IN_TRIVY_CONFIG,
        affects=Affects.SCAN,
    )
    image_pull_secret: str = setting(
        "trivy.imagePullSecret",
        kinds.OBJECT_NAME,
        "",
        "Secret with which nodes pull Trivy's image.",
        sources=IN_TRIVY_CONFIG,
    )
    image_pull_policy: PullPolicy = setting(
        "trivy.imagePullPolicy",
        kinds.choice(PullPolicy),
        PullPolicy.IF_NOT_PRESENT,
        "When nodes pull Trivy's image.",
        sources=IN_TRIVY_CONFIG,
    )
    mode: TrivyMode = setting(
        "trivy.mode",
        kinds.choice(TrivyMode),
        TrivyMode.STANDALONE,
        "Standalone: each scan pod has a database of its own. ClientServer: a Trivy server has it.",
        sources=IN_TRIVY_CONFIG,
    )
    command: TrivyCommand = setting(
        "trivy.command",
        kinds.choice(TrivyCommand),
        TrivyCommand.IMAGE,
        "How images are scanned. Only `image` is supported.",
        sources=IN_TRIVY_CONFIG,
        affects=Affects.SCAN,
    )
    sbom_sources: tuple[SbomSource, ...] = setting(
        "trivy.sbomSources",
        kinds.choices(SbomSource),
        (),
        "Where Trivy looks for bills of materials that were published with an image.",
        sources=IN_TRIVY_CONFIG,
        affects=Affects.SCAN,
    )
    severities: tuple[SeverityName, ...] = setting(
        "trivy.severity",
        kinds.choices(SeverityName),
        tuple(SeverityName),
        "Severities of findings to report.",
        sources=IN_TRIVY_CONFIG,
        affects=Affects.SCAN,
    )
    slow: bool = setting(
        "trivy.slow",
        kinds.BOOL,
        True,
        "Scan with less CPU and memory, one file at a time.",
        sources=IN_TRIVY_CONFIG,
    )
    vuln_types: tuple[VulnType, ...] = setting(
        "trivy.vulnType",
        kinds.choices(VulnType),
        (),
        "Look at packages of the operating system only, or of languages only; empty is both.",
        sources=IN_TRIVY_CONFIG,
        affects=Affects.SCAN,
    )
    ignore_unfixed: bool = setting(
        "trivy.ignoreUnfixed",
        kinds.BOOL,
        False,
        "Leave out vulnerabilities that have no fix.",
        sources=IN_TRIVY_CONFIG,
        affects=Affects.SCAN,
    )
    offline_scan: bool = setting(
        "trivy.offlineScan",
        kinds.BOOL,
        False,
        "Make no requests to find out about dependencies.",
        sources=IN_TRIVY_CONFIG,
        affects=Affects.SCAN,
    )
    timeout_seconds: float = setting(
        "trivy.timeout",
        kinds.duration(1),
        300.0,
        "Trivy's own limit for one scan.",
        sources=IN_TRIVY_CONFIG,
    )
    ignore_file: str = setting(
        "trivy.ignoreFile",
        yamltexts.IGNORE_FILE,
        "",
        "Content of an ignore file: ids of findings to leave out, one a line, or Trivy's form in YAML.",
        sources=IN_TRIVY_CONFIG,
        affects=Affects.SCAN,
    )
    ignore_file_name: str = setting(
        "trivy.ignoreFileName",
        kinds.FILE_NAME,
        ".trivyignore",
        "Name of the ignore file in scan pods. Whether its content is YAML is seen from the content; the "
        "name gets the ending by which Trivy tells, if it has another one.",
        sources=IN_TRIVY_CONFIG,
        affects=Affects.SCAN,
    )
    ignore_policies: dict[str, str] = family(
        "trivy.ignorePolicy",
        kinds.MULTILINE,
        "Rego policy that leaves out findings: `trivy.ignorePolicy` for all, "
        "`trivy.ignorePolicy.<namespace>`, `trivy.ignorePolicy.<namespace>.<workload>`; "
        "a dot in the last part stands for any text.",
        sources=IN_TRIVY_CONFIG,
        affects=Affects.SCAN,
    )
    config_file: str = setting(
        "trivy.configFile",
        yamltexts.CONFIG_FILE,
        "",
        "Content of a configuration file of Trivy.",
        sources=IN_TRIVY_CONFIG,
        affects=Affects.SCAN,
    )
    insecure_registries: dict[str, str] = family(
        "trivy.insecureRegistry.",
        images.REGISTRY,
        "Host of a registry whose certificate is not checked; what follows the last dot is any name.",
        sources=IN_TRIVY_CONFIG,
    )
    non_ssl_registries: dict[str, str] = family(
        "trivy.nonSslRegistry.",
        images.REGISTRY,
        "Host of a registry that speaks HTTP; what follows the last dot is any name.",
        sources=IN_TRIVY_CONFIG,
    )
    registry_mirrors: dict[str, str] = family(
        "trivy.registry.mirror.",
        images.MIRRORS,
        "Where to fetch images from instead: the key ends in the beginning of the image's full name "
        "(`docker.io` and `index.docker.io` are the same), the value takes its place. A beginning with a "
        "port or a path, which keys of a ConfigMap cannot hold, goes into the value: "
        "`trivy.registry.mirror.corp: registry.corp:5000/team=mirror.corp:5000/team`. The longest beginning "
        "that fits counts.",
        sources=IN_TRIVY_CONFIG,
    )
    http_proxy: SecretText = setting(
        "trivy.httpProxy",
        kinds.SECRET,
        SecretText(""),
        "HTTP_PROXY of scan pods; may hold a password.",
        sources=IN_TRIVY_CONFIG,
        secret=True,
    )
    https_proxy: SecretText = setting(
        "trivy.httpsProxy",
        kinds.SECRET,
        SecretText(""),
        "HTTPS_PROXY of scan pods; may hold a password.",
        sources=IN_TRIVY_CONFIG,
        secret=True,
    )
    no_proxy: str = setting(
        "trivy.noProxy", kinds.TEXT, "", "NO_PROXY of scan pods.", sources=IN_TRIVY_CONFIG
    )
    ssl_cert_dir: str = setting(
        "trivy.sslCertDir",
        kinds.ABSOLUTE_PATH,
        "",
        "Directory on the nodes with certificates of certificate authorities that Trivy shall trust.",
        sources=IN_TRIVY_CONFIG,
    )
    include_dev_deps: bool = setting(
        "trivy.includeDevDeps",
        kinds.BOOL,
        False,
        "Looked at development dependencies too, with the command `filesystem`.",
        sources=IN_TRIVY_CONFIG,
        ignored="it is for the command `filesystem`, which is not supported yet",
    )
    skip_files: tuple[str, ...] = setting(
        "trivy.skipFiles",
        kinds.TEXT_LIST,
        (),
        "Files in images to leave out. An annotation of the workload wins.",
        sources=IN_TRIVY_CONFIG,
        affects=Affects.SCAN,
    )
    skip_dirs: tuple[str, ...] = setting(
        "trivy.skipDirs",
        kinds.TEXT_LIST,
        (),
        "Directories in images to leave out. An annotation of the workload wins.",
        sources=IN_TRIVY_CONFIG,
        affects=Affects.SCAN,
    )
    db_repository: tuple[str, ...] = setting(
        "trivy.dbRepository",
        images.IMAGES,
        ("mirror.gcr.io/aquasec/trivy-db",),
        "Where the vulnerability database comes from; several are tried in order.",
        sources=IN_TRIVY_CONFIG,
    )
    java_db_repository: tuple[str, ...] = setting(
        "trivy.javaDbRepository",
        images.IMAGES,
        ("mirror.gcr.io/aquasec/trivy-java-db",),
        "Where the index of Java artefacts comes from.",
        sources=IN_TRIVY_CONFIG,
    )
    db_repository_insecure: bool = setting(
        "trivy.dbRepositoryInsecure",
        kinds.BOOL,
        False,
        "Do not check certificates where databases come from.",
        sources=IN_TRIVY_CONFIG,
    )
    db_repository_username: SecretText = setting(
        "trivy.dbRepositoryUsername",
        kinds.SECRET,
        SecretText(""),
        "User name for that registry; needs the password too.",
        sources=IN_TRIVY_CONFIG,
        for_secret=True,
    )
    db_repository_password: SecretText = setting(
        "trivy.dbRepositoryPassword",
        kinds.SECRET,
        SecretText(""),
        "Password for that registry.",
        sources=IN_TRIVY_CONFIG,
        for_secret=True,
    )
    github_token: SecretText = setting(
        "trivy.githubToken",
        kinds.SECRET,
        SecretText(""),
        "Token for GitHub, against its rate limit while databases are fetched.",
        sources=IN_TRIVY_CONFIG,
        for_secret=True,
    )
    skip_java_db_update: bool = setting(
        "trivy.skipJavaDBUpdate",
        kinds.BOOL,
        False,
        "Never fetch the index of Java artefacts.",
        sources=IN_TRIVY_CONFIG,
        affects=Affects.SCAN,
    )
    image_scan_cache_dir: str = setting(
        "trivy.imageScanCacheDir",
        kinds.ABSOLUTE_PATH,
        "/tmp/trivy/.cache",  # noqa: S108 (a path in the scan pod's own volume)
        "Cache directory in scan pods.",
        sources=IN_TRIVY_CONFIG,
    )
    filesystem_scan_cache_dir: str = setting(
        "trivy.filesystemScanCacheDir",
        kinds.ABSOLUTE_PATH,
        "/var/trivyoperator/trivy-db",
        "Cache directory in scan pods of the commands `filesystem` and `rootfs`.",
        sources=IN_TRIVY_CONFIG,
    )
    server_url: str = setting(
        "trivy.serverURL",
        kinds.URL,
        "",
        "Trivy server of the mode ClientServer.",
        sources=IN_TRIVY_CONFIG,
    )
    server_token: SecretText = setting(
        "trivy.serverToken",
        kinds.SECRET,
        SecretText(""),
        "Token for the Trivy server.",
        sources=IN_TRIVY_CONFIG,
        for_secret=True,
    )
    server_token_header: str = setting(
        "trivy.serverTokenHeader",
        kinds.HEADER_NAME,
        "",
        "Name of the header the token travels in; Trivy's own default is `Trivy-Token`.",
        sources=IN_TRIVY_CONFIG,
    )
    server_custom_headers: dict[str, SecretText] = setting(
        "trivy.serverCustomHeaders",
        kinds.HEADERS,
        {},
        "Further headers for the Trivy server.",
        sources=IN_TRIVY_CONFIG,
        for_secret=True,
    )
    server_insecure: bool = setting(
        "trivy.serverInsecure",
        kinds.BOOL,
        False,
        "Do not check the certificate of the Trivy server.",
        sources=IN_TRIVY_CONFIG,
    )
    client_server_skip_update: bool = setting(
        "trivy.clientServerSkipUpdate",
        kinds.BOOL,
        False,
        "Add `--skip-db-update` in the mode ClientServer.",
        sources=IN_TRIVY_CONFIG,
    )
    requests_cpu: str = setting(
        "trivy.resources.requests.cpu",
        kinds.QUANTITY,
        "",
        "CPU request of scan pods.",
        sources=IN_TRIVY_CONFIG,
    )
    requests_memory: str = setting(
        "trivy.resources.requests.memory",
        kinds.QUANTITY,
        "",
        "Memory request of scan pods.",
        sources=IN_TRIVY_CONFIG,
    )
    requests_ephemeral_storage: str = setting(
        "trivy.resources.requests.ephemeral-storage",
        kinds.QUANTITY,
        "",
        "Disk request of scan pods.",
        sources=IN_TRIVY_CONFIG,
    )
    limits_cpu: str = setting(
        "trivy.resources.limits.cpu", kinds.QUANTITY, "", "CPU limit of scan pods.", sources=IN_TRIVY_CONFIG
    )
    limits_memory: str = setting(
        "trivy.resources.limits.memory",
        kinds.QUANTITY,
        "",
        "Memory limit of scan pods.",
        sources=IN_TRIVY_CONFIG,
    )
    limits_ephemeral_storage: str = setting(
        "trivy.resources.limits.ephemeral-storage",
        kinds.QUANTITY,
        "",
        "Disk limit of scan pods.",
        sources=IN_TRIVY_CONFIG,
    )
    use_builtin_server: bool = setting(
        "OPERATOR_BUILT_IN_TRIVY_SERVER",
        kinds.BOOL,
        False,
        "The Trivy server was the one installed with the operator; scans waited until it was healthy.",
        ignored="a scan that finds no server fails as `network`, and is tried again",
    )
    server_health_cache_seconds: float | None = setting(
        "TRIVY_SERVER_HEALTH_CHECK_CACHE_EXPIRATION",
        kinds.OPTIONAL_DURATION,
        36_000.0,
        "For how long a healthy answer of that server counts; empty: for one scan.",
        ignored="nothing asks for the health of a server",
    )
