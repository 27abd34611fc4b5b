"""Log events: what each line of the operator's log means, for the documentation.

Which events there are, at which level and with which keys, is read from the source; a test says when one has
no meaning here. Add it, then ``make docs``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trivyop

_PACKAGE = Path(trivyop.__file__).parent
_LEVELS: Mapping[str, str] = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "error": "error",
    "exception": "error",
}
_NOT_THE_OPERATOR = ("sandbox", "cli")  # but `trivyop run` is

MEANINGS: Final[Mapping[str, str]] = {
    "api_recovered": "The API server answers again.",
    "api_unreachable": "The API server has not answered for some seconds; asked until it does. Logged once.",
    "audit_failed": "A resource could not be audited; it is tried again.",
    "audit_standby_failed": "Trivy cannot be kept ready; changes are audited all the same, but later.",
    "audit_kinds_unknown": "Kinds to be audited that there is nothing to check of.",
    "check_crashed": "One check failed at a resource; the others count.",
    "clock_set": "The time of day jumped; what goes by it comes early or late.",
    "checks_bundle_not_fetched": "The bundle of checks could not be fetched. It is tried again, at most "
    "an hour apart, without another such line; `/readyz` says how it stands.",
    "checks_bundle_recovered": "The bundle of checks could be fetched again.",
    "checks_bundle_taken": "There is a new bundle of checks; resources are audited with it.",
    "cluster_components_matched": "The cluster's own components were matched against the database.",
    "cluster_components_not_matched": "They could not be; tried again.",
    "cluster_report_refused": "The API server does not take the report on them.",
    "cluster_sbom_deleted": "The bill of materials of another version of the cluster was deleted.",
    "configuration_not_readable": "A ConfigMap or Secret with settings may not be read; defaults count.",
    "credentials_not_renewed": "New credentials for the API server could not be had.",
    "credentials_renewed": "The API server did not know us any more; new credentials are used.",
    "database_fetched": "There is a new vulnerability database; what is due is matched again.",
    "database_not_fetched": "It could not be fetched; the old one stays, and it is tried again.",
    "deletions_not_watched": "Objects that go cannot be followed; they are missed at the next list.",
    "discovery_failed": "The server did not say what it has; asked again.",
    "event_crashed": "A bug: an Event could not be made.",
    "event_refused": "The API server does not take an Event.",
    "events_dropped": "Too many Events at once; some are not sent.",
    "handler_crashed": "A bug: a change was not taken in. Please report it.",
    "history_went_back": "The API server has an older copy of its storage than before; all is listed again.",
    "image_renamed": "Nodes call an image that runs by another digest; it is not scanned anew.",
    "informer_synced": "All objects of a kind have been read.",
    "kind_writable": "Reports of a kind may be written again, and are.",
    "kind_missing": "The server does not have a kind; what needs it is off until a restart.",
    "kind_not_readable": "A kind may not be read; what needs it is off until it may.",
    "kind_not_writable": "Reports of a kind were denied for minutes; asked about each half minute.",
    "leadership_lost": "The Lease is another's now; this replica ends, and starts again.",
    "leading": "This replica leads.",
    "lease_not_renewed": "One renewal failed; there is time for more.",
    "lease_released": "The Lease was given back at the end.",
    "leftovers_deleted": "Files that an operator left behind when it was killed were deleted.",
    "log_level_changed": "A signal changed the level.",
    "log_read_again": "The result in a pod's log did not come whole; read once more.",
    "metrics_missing": "A bug: one collector's metrics are missing from scrapes. Told once.",
    "node_collected": "A node was read.",
    "node_collector_job_created": "A Job to read a node was created.",
    "node_collector_job_not_deleted": "Such a Job could not be deleted; Kubernetes does so later.",
    "node_scan_failed": "A node could not be read; when it is tried again is in the line.",
    "node_skipped": "A node is left out, and why.",
    "object_malformed": "An object in the cluster does not decode; it is taken as not there. Told once.",
    "operator_running": "Everything has been read; work begins.",
    "operator_starting": "The process has its settings; those that differ from the default are in the line.",
    "operator_stopped": "The end, as told.",
    "operator_stopping": "A signal to end came; work in hand is finished.",
    "operator_waits": "What nothing works without is missing; asked again until it is there.",
    "policies_not_tried": "Custom policies could not be tried before their use.",
    "policy_given_up": "A custom policy does not work and is left out.",
    "policy_kind_unknown": "A custom policy is for kinds that are not audited.",
    "policy_odd": "A custom policy counts, but does less or other than it seems to; the error says why.",
    "policy_refused": "A custom policy does not compile, or has no effect, and is left out.",
    "policy_trial_crashed": "A bug: custom policies could not be tried.",
    "pull_secret_not_readable": "A pull secret may not be read or is not there; scans go without it.",
    "pull_secret_not_usable": "A pull secret does not hold credentials.",
    "reconcile_crashed": "A bug. The key comes back, slowly. Please report it.",
    "reconcile_deferred": "Something did not work for now; the key comes back.",
    "reconcile_gave_up": "Trying again as is cannot help, or a permission is missing; that is tried again.",
    "reflector_crashed": "A bug in following a kind; it is listed again.",
    "rematch_off": "Bills of materials are not matched here; what is due is scanned again.",
    "report_adopted": "A report of another operator was taken over under its name.",
    "report_deleted": "A report was deleted.",
    "report_not_deleted": "A report could not be deleted.",
    "report_refused": "The API server does not take a report.",
    "report_superfluous": "A report is about nothing that is there any more; it goes.",
    "report_too_large": "The API server finds a report too large; it is cut further.",
    "rescan_requested": "A report was deleted by somebody: its image is scanned anew.",
    "scan_adopted": "An image's reports of before are taken as its result.",
    "scan_failed": "A scan failed; its class, and when it is tried again, are in the line.",
    "scan_forgotten": "No workload has run an image for long enough.",
    "scan_found_no_image": "It is no image but another artifact; there is nothing to report.",
    "scan_reference_passed_over": "One repository does not have an image, or not for us; the next is tried.",
    "scan_starts_held_back": "Pods of scans do not start in a namespace; one scan tries for all others.",
    "scan_starts_resumed": "They do again.",
    "scan_job_created": "A Job to scan an image was created.",
    "scan_job_exists": "It had been created before.",
    "scan_job_not_deleted": "A Job could not be deleted; Kubernetes does so later.",
    "scan_not_delivered": "A result is there, but its reports could not be written.",
    "scan_succeeded": "An image has a result.",
    "series_missing": "A bug: one metric that is counted from reports is missing from a scrape.",
    "service_account_not_readable": "Pull secrets of a service account are not known.",
    "setting_odd": "A setting is likely not meant so, and why.",
    "standing_by": "Another replica leads; this one waits for its turn.",
    "still_waiting": "Lists that take longer than expected.",
    "version_not_told": "The version of the server or of Trivy is not known.",
    "webhook_access_crashed": "A bug in setting up an endpoint, which is not told of anything.",
    "webhook_access_renewed": "An endpoint's Secrets changed; the new ones are used.",
    "webhook_channel_crashed": "A bug: an endpoint's channel ended, and starts again.",
    "webhook_compared": "Which reports an endpoint has not been told of was found out.",
    "webhook_configured": "An endpoint's settings are usable.",
    "webhook_crashed": "A bug in telling an endpoint of one object.",
    "webhook_deferred": "An endpoint did not take a message; it is sent again.",
    "webhook_failing": "An endpoint does not answer as it should; the backlog waits. Told once.",
    "webhook_ledger_cut_short": "Not all of what an endpoint was told could be remembered at the end.",
    "webhook_ledger_damaged": "What was remembered is not readable; some messages may be sent again.",
    "webhook_ledger_not_readable": "What was remembered may not be read now; tried again.",
    "webhook_ledger_not_written": "What was told could not be remembered now; tried again.",
    "webhook_misconfigured": "An endpoint's settings are not usable, and why.",
    "webhook_not_read": "A report to be sent could not be read.",
    "webhook_recovered": "An endpoint answers again.",
    "webhook_refused": "An endpoint refuses a message for good.",
    "webhook_started": "Messages are sent to an endpoint from now on.",
    "webhook_stopped": "And not any more.",
    "work_cut_short": "Work in hand took longer than the time there is to end.",
}


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One event, as the source has it."""

    name: str
    levels: tuple[str, ...]
    keys: tuple[str, ...]


def find_events(package: Path = _PACKAGE) -> list[LogEvent]:
    """Every event that the operator may log, by name."""
    levels: dict[str, dict[str, None]] = {}
    keys: dict[str, dict[str, None]] = {}
    for call in _calls(package):
        name, level = call.args[0], call.func
        if isinstance(name, ast.Constant) and isinstance(level, ast.Attribute):
            event = str(name.value)
            levels.setdefault(event, {})[_LEVELS[level.attr]] = None
            named = (word.arg for word in call.keywords if word.arg and word.arg != "exc_info")
            keys.setdefault(event, {}).update(dict.fromkeys(named))
    return [LogEvent(name, tuple(levels[name]), tuple(keys[name])) for name in sorted(levels)]


def _calls(package: Path) -> Iterator[ast.Call]:
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package)
        if place.parts[0] in _NOT_THE_OPERATOR and place != Path("cli/run.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.func, ast.Attribute):
                logger = node.func.value
                if isinstance(logger, ast.Name) and logger.id == "log" and node.func.attr in _LEVELS:
                    yield node
