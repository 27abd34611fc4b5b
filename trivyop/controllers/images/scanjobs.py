"""Scan Jobs in the cluster: made with the credentials that their image needs, and removed.

Promises: creating the same attempt twice is creating it once; what belongs to a Job goes with it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from trivyop.controllers.images.targets import Target
from trivyop.controllers.informers import BY_SCAN, Informers
from trivyop.errors import AlreadyExistsError, DeniedError, ForbiddenError, outlasts_a_start
from trivyop.kube.client import Api
from trivyop.kube.resources import JOBS, SECRETS, SERVICEACCOUNTS, ObjectKey
from trivyop.scan.command import mirrored
from trivyop.scan.credentials import Credential, pick_credentials, pull_secret_keys, read_pull_secrets
from trivyop.scan.imagescan import ImageScan
from trivyop.scan.job import ScanJob, ScanRequest, build_scan_job
from trivyop.scan.logins import Logins
from trivyop.settings.values import Settings
from trivyop.workload.images import ImageName

log = structlog.get_logger(__name__)

_REQUESTERS_ASKED = 5  # whose pull secrets are tried; more would be many requests for one image


class ScanJobs:
    """Creates and deletes scan Jobs."""

    def __init__(self, api: Api, informers: Informers, settings: Settings) -> None:
        self._api = api
        self._informers = informers
        self._settings = settings
        self._namespaces: dict[str, str] = {}  # of Jobs just created, until the informer observes them

    def key(self, scan: str, job: str) -> ObjectKey:
        """Where the Job of that name is, or was."""
        for there in self._informers.scan_jobs.by_index(BY_SCAN, scan):
            if there.metadata.name == job:
                return there.key
        return ObjectKey(self._namespaces.get(job, self._settings.operator.namespace), job)

    def get(self, scan: str, job: str) -> ScanJob | None:
        """The Job of that name, as observed last."""
        return self._informers.scan_jobs.get(self.key(scan, job))

    def newest(self, scan: str, counts: Callable[[ScanJob], bool]) -> ScanJob | None:
        """The newest Job of a scan of those that count."""
        jobs = filter(counts, self._informers.scan_jobs.by_index(BY_SCAN, scan))
        return max(jobs, key=lambda job: (job.attempt, job.created, job.metadata.name), default=None)

    async def create(
        self, scan: ImageScan, attempt: int, reference: str, targets: list[Target]
    ) -> tuple[str, str]:
        """Create the Job of an attempt, and its Secrets; returns its name and uid.

        `reference` is what to scan; `targets` (at least one) are the containers that run it. Raises
        ``ImageRefError`` for an image that cannot be read, ``TerminalError`` for what the server refuses.
        """
        image = ImageName.parse(reference)
        first = targets[0].workload
        credentials, logins = await self._credentials(image, targets)
        request = ScanRequest(
            scan_name=scan.metadata.name,
            scan_uid=scan.metadata.uid,
            attempt=attempt,
            image=image,
            digest=image.digest,
            platform=scan.spec.platform or None,
            namespace=first.key.namespace,
            credentials=credentials,
            logins=logins,
            variant=targets[0].variant,
            service_account=first.service_account,
            pull_secrets=first.pull_secrets,
        )
        job, secrets = build_scan_job(request, self._settings)
        meta: dict[str, str] = job["metadata"]
        uid = await self._create(job)
        try:
            for secret in secrets:
                await self._give(secret, meta["name"], uid)
        except BaseException:
            await self._api.delete(JOBS, ObjectKey(meta["namespace"], meta["name"]), uid=uid)
            raise
        if meta["namespace"] != self._settings.operator.namespace:
            self._namespaces[meta["name"]] = meta["namespace"]
        return meta["name"], uid

    async def _create(self, job: dict[str, Any]) -> str:
        """Create the Job, or find it created by a former life: same name, same content. Returns its uid."""
        meta = job["metadata"]
        try:
            created = await self._api.create(JOBS, job)
        except AlreadyExistsError:
            log.info("scan_job_exists", job=meta["name"])
            there = await self._api.get(JOBS, ObjectKey(meta["namespace"], meta["name"]))
            if there is None:
                raise
            return there.metadata.uid
        return created["metadata"]["uid"]

    async def _give(self, secret: dict[str, Any], job: str, uid: str) -> None:
        """Create a Secret that goes with the Job; its pod waits for it."""
        owner = {"apiVersion": JOBS.api_version, "kind": JOBS.kind, "name": job, "uid": uid}
        with suppress(AlreadyExistsError):
            await self._api.create(
                SECRETS, {**secret, "metadata": {**secret["metadata"], "ownerReferences": [owner]}}
            )

    async def delete(self, scan: str, job: str) -> None:
        """Delete a Job; its pods and its Secret go with it."""
        await self._api.delete(JOBS, self.key(scan, job))
        self._namespaces.pop(job, None)

    async def _credentials(
        self, image: ImageName, targets: list[Target]
    ) -> tuple[tuple[Credential, ...], Logins]:
        """The credentials for the image that the workloads which run it have, and what to say of them."""
        keys: dict[ObjectKey, None] = {}
        accounts: dict[ObjectKey, tuple[str, ...]] = {}
        for target in targets[:_REQUESTERS_ASKED]:
            workload = target.workload
            account = ObjectKey(workload.key.namespace, workload.service_account or "default")
            if self._settings.operator.access_global_secrets and account not in accounts:
                accounts[account] = await self._pull_secrets_of(account)
            for key in pull_secret_keys(
                self._settings,
                namespace=workload.key.namespace,
                pull_secrets=workload.pull_secrets,
                service_account_pull_secrets=accounts.get(account, ()),
            ):
                keys[key] = None
        found = {key: await self._read(key) for key in keys}
        read = read_pull_secrets(one for one in found.values() if not isinstance(one, str))
        for problem in read.problems:
            log.warning("pull_secret_not_usable", problem=problem)
        place = mirrored(image, self._settings.trivy)
        picked = pick_credentials(place, read.credentials)
        missing = tuple(f"pull secret {key}: {one}" for key, one in found.items() if isinstance(one, str))
        return picked, Logins.of(place.name, read, picked, missing)

    async def _pull_secrets_of(self, account: ObjectKey) -> tuple[str, ...]:
        try:
            there = await self._api.get_dict(SERVICEACCOUNTS, account)
        except (DeniedError, ForbiddenError) as error:
            if not outlasts_a_start(error):
                raise
            log.warning("service_account_not_readable", account=str(account), error=str(error))
            return ()
        secrets = (there or {}).get("imagePullSecrets") or ()
        return tuple(secret["name"] for secret in secrets if secret.get("name"))

    async def _read(self, key: ObjectKey) -> dict[str, Any] | str:
        """One Secret, or why there is none to be read."""
        try:
            return await self._api.get_dict(SECRETS, key) or "it does not exist"
        except (DeniedError, ForbiddenError) as error:
            if not outlasts_a_start(error):
                raise
            log.warning("pull_secret_not_readable", secret=str(key), error=str(error))
            return "the operator may not read it"
