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
    "api_unreachable": "The API server has not answered for some seconds; the operator keeps asking. Logged "
    "once.",
    "audit_failed": "A resource could not be audited; the operator tries again.",
    "audit_kinds_unknown": "Some of the kinds to be audited have no checks.",
    "audit_standby_failed": "The operator cannot keep a Trivy process ready; it still audits changes, but "
    "later.",
    "check_crashed": "One check failed on a resource; the other checks count.",
    "checks_bundle_not_fetched": "The bundle of checks could not be fetched. The operator tries again, at "
    "most an hour later each time, and does not log that again; `/readyz` shows the state.",
    "checks_bundle_recovered": "The bundle of checks could be fetched again.",
    "checks_bundle_taken": "There is a new bundle of checks; the operator audits resources with it.",
    "clock_set": "The system clock jumped; timers that depend on it fire early or late.",
    "cluster_components_matched": "The operator matched the cluster's own components against the "
    "vulnerability database.",
    "cluster_components_not_matched": "The cluster's own components could not be matched; the operator tries "
    "again.",
    "cluster_report_refused": "The API server refused the report on the cluster's own components.",
    "cluster_sbom_deleted": "The operator deleted the bill of materials of another version of the cluster.",
    "compliance_evaluated": "A ClusterComplianceReport has new answers; `because` says why it was due.",
    "compliance_specification_odd": "Something is wrong with a ClusterComplianceReport; its status says "
    "what, and the operator evaluates the rest.",
    "compliance_status_too_large": "The API server found a status too large; the operator lists less in it.",
    "configuration_not_readable": "The operator may not read a ConfigMap or Secret with settings; defaults "
    "apply.",
    "credentials_not_renewed": "The operator could not get new credentials for the API server.",
    "credentials_renewed": "The API server rejected the operator's credentials; the operator uses new ones.",
    "database_fetched": "There is a new vulnerability database; the operator matches what is due again.",
    "database_not_fetched": "The vulnerability database could not be fetched; the operator keeps the old one "
    "and tries again.",
    "deletions_not_watched": "Deletions of a kind cannot be watched; the next list shows which objects are "
    "missing.",
    "discovery_failed": "The API server did not answer which kinds it has; the operator asks again.",
    "event_crashed": "A bug: an Event could not be built.",
    "event_refused": "The API server refused an Event.",
    "events_dropped": "There were too many Events at once; some are not sent.",
    "handler_crashed": "A bug: the operator did not process a change. Please report it.",
    "history_went_back": "The API server has an older copy of its storage than before; the operator lists "
    "everything again.",
    "image_renamed": "Nodes report an image that runs under another digest; the operator does not scan it "
    "again.",
    "informer_synced": "The operator has read all objects of a kind.",
    "kind_missing": "The API server does not have a kind; what needs it is off until a restart.",
    "kind_not_readable": "The operator may not read a kind; what needs it is off until it may.",
    "kind_not_writable": "The API server has denied writing reports of a kind for minutes; the operator asks "
    "every half minute whether it may.",
    "kind_writable": "The operator may write reports of a kind again, and does.",
    "leadership_lost": "Another replica holds the Lease now; this one ends and starts again.",
    "leading": "This replica leads.",
    "lease_not_renewed": "One renewal of the Lease failed; there is time for more.",
    "lease_released": "The operator gave the Lease back as it ended.",
    "leftovers_deleted": "The operator deleted files that an earlier process left behind when it was killed.",
    "log_level_changed": "A signal changed the level.",
    "log_read_again": "The result in a pod's log was incomplete; the operator reads the log once more.",
    "metrics_missing": "A bug: scrapes lack the metrics of one collector. Logged once.",
    "node_collected": "The operator read a node.",
    "node_collector_job_created": "The operator created a Job to read a node.",
    "node_collector_job_not_deleted": "A Job that reads a node could not be deleted; Kubernetes deletes it "
    "later.",
    "node_scan_failed": "A node could not be read; the line has the time of the next attempt.",
    "node_skipped": "The operator skips a node; the line says why.",
    "object_malformed": "An object in the cluster could not be decoded; the operator treats it as absent. "
    "Logged once.",
    "operator_running": "The operator has read everything; work begins.",
    "operator_starting": "The operator has read its settings; the line has those that differ from the "
    "default.",
    "operator_stopped": "The operator has ended, as it was asked to.",
    "operator_stopping": "The operator received a signal to end; it finishes the work in hand.",
    "operator_waits": "Something that the operator cannot work without is missing; it keeps looking until "
    "that is there.",
    "policies_not_tried": "The operator could not try custom policies before using them.",
    "policy_given_up": "A custom policy does not work; the operator leaves it out.",
    "policy_kind_unknown": "A custom policy is for kinds that are not audited.",
    "policy_odd": "A custom policy counts, but does less than it seems to, or something else; the error says "
    "why.",
    "policy_refused": "A custom policy does not compile or has no effect; the operator leaves it out.",
    "policy_trial_crashed": "A bug: custom policies could not be tried.",
    "pull_secret_not_readable": "A pull secret is missing, or the operator may not read it; scans run "
    "without it.",
    "pull_secret_not_usable": "A pull secret does not hold credentials.",
    "reconcile_crashed": "A bug: a reconcile failed unexpectedly. The operator tries the key again, slowly. "
    "Please report it.",
    "reconcile_deferred": "A reconcile failed for now; the operator tries the key again.",
    "reconcile_gave_up": "A reconcile failed and trying again as is cannot help, or a permission is missing; "
    "in that case the operator tries again.",
    "reflector_crashed": "A bug in watching a kind; the operator lists it again.",
    "rematch_off": "The operator does not match bills of materials; it scans again what is due.",
    "report_adopted": "The operator took over a report of another operator, under its name.",
    "report_deleted": "The operator deleted a report.",
    "report_not_deleted": "A report could not be deleted.",
    "report_refused": "The API server refused a report.",
    "report_superfluous": "A report is about something that no longer exists; the operator deletes it.",
    "report_too_large": "The API server found a report too large; the operator reduces it further.",
    "rescan_requested": "Somebody deleted a report; the operator scans its image again.",
    "scan_adopted": "The operator took over an image's existing reports as its result.",
    "scan_failed": "A scan failed; the line has the class of the failure and the time of the next attempt.",
    "scan_forgotten": "No workload has run an image for long enough; the operator deletes its ImageScan.",
    "scan_found_no_image": "A reference leads to another artifact, not to an image; there is nothing to "
    "report.",
    "scan_job_created": "The operator created a Job to scan an image.",
    "scan_job_exists": "The scan Job was already there.",
    "scan_job_not_deleted": "A scan Job could not be deleted; Kubernetes deletes it later.",
    "scan_not_delivered": "A scan has a result, but its reports could not be written.",
    "scan_reference_passed_over": "One repository does not have an image, or does not give it to the "
    "operator's scan; the next one is tried.",
    "scan_starts_held_back": "Scan pods do not start in a namespace; one scan tries for all others.",
    "scan_starts_resumed": "Scan pods start in that namespace again.",
    "scan_succeeded": "An image has a result.",
    "series_missing": "A bug: a scrape lacks one metric that is counted from reports.",
    "service_account_not_readable": "The operator may not read a service account, so it does not use that "
    "account's pull secrets.",
    "setting_odd": "A setting is probably not what was meant; the line says why.",
    "standing_by": "Another replica leads; this one waits to take over.",
    "still_waiting": "Some first lists take longer than expected.",
    "version_not_told": "The version of the API server or of Trivy could not be found out.",
    "webhook_access_crashed": "A bug in setting up an endpoint; the operator sends it nothing.",
    "webhook_access_renewed": "An endpoint's Secrets changed; the operator uses the new ones.",
    "webhook_channel_crashed": "A bug: sending to an endpoint ended unexpectedly, and starts again.",
    "webhook_compared": "The operator worked out which reports an endpoint has not received.",
    "webhook_configured": "An endpoint's settings are usable.",
    "webhook_crashed": "A bug in sending one object to an endpoint.",
    "webhook_deferred": "An endpoint did not accept a message; the operator sends it again.",
    "webhook_failing": "An endpoint does not answer as it should; its backlog waits. Logged once.",
    "webhook_ledger_cut_short": "The operator ended before it could record everything that it sent to an "
    "endpoint.",
    "webhook_ledger_damaged": "The record of what an endpoint received is damaged; some messages may be sent "
    "again.",
    "webhook_ledger_not_readable": "The operator cannot read the record of what an endpoint received; it "
    "tries again.",
    "webhook_ledger_not_written": "The operator cannot record what it sent to an endpoint; it tries again.",
    "webhook_misconfigured": "An endpoint's settings are not usable; the error says why.",
    "webhook_not_read": "A report that is to be sent could not be read.",
    "webhook_recovered": "An endpoint answers again.",
    "webhook_refused": "An endpoint refused a message for good.",
    "webhook_started": "The operator starts sending messages to an endpoint.",
    "webhook_stopped": "The operator stops sending messages to an endpoint.",
    "work_cut_short": "The operator ended before work in hand was finished, because that took too long.",
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
