"""`trivyop run`: the operator against a cluster, until SIGTERM or Ctrl-C; a second one ends it at once."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
from contextlib import suppress
from urllib.parse import urlsplit

import structlog

from trivyop.app import Operator
from trivyop.cli.cluster import DEFAULT_NAMESPACE, add_cluster_arguments, cluster_config
from trivyop.errors import TransientError
from trivyop.kube.client import Api
from trivyop.kube.transport import ApiMetrics
from trivyop.observe.controllerruntime import FamiliarRequests
from trivyop.observe.logging import LEVELS, configure_logging, set_level
from trivyop.observe.registry import SteadyRegistry
from trivyop.settings import Settings, kinds, redacted
from trivyop.settings.configmaps import read_settings

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 3.0


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage] - argparse has no public name for it
    parser = commands.add_parser(
        "run",
        help="run the operator against a cluster",
        description="Run the operator. Settings come from OPERATOR_* variables and from the ConfigMaps and "
        "Secrets trivy-operator and trivy-operator-trivy-config in its namespace; see docs/settings.md.",
    )
    add_cluster_arguments(parser)
    parser.add_argument("--log-level", choices=LEVELS, help="default: info")
    parser.set_defaults(command=run)


async def run(arguments: argparse.Namespace) -> int:
    """Run until a signal; returns 0."""
    environ = dict(os.environ)
    dev_mode = _is_true(environ.get("OPERATOR_LOG_DEV_MODE", ""))
    level = arguments.log_level or ("debug" if dev_mode else "info")
    configure_logging(level, json=False if dev_mode else None)
    change_level_on_signals(level)
    config = await cluster_config(arguments)
    environ.setdefault("OPERATOR_NAMESPACE", config.namespace if _in_cluster(environ) else DEFAULT_NAMESPACE)
    registry = SteadyRegistry()
    requests = ApiMetrics(registry)
    FamiliarRequests(registry, requests, urlsplit(config.server).netloc)
    stop = stop_on_signals()
    async with Api(config, metrics=requests) as api:
        settings = await _settings(api, environ, stop)
        if settings is None:
            return 0
        for warning in settings.warnings:
            log.warning("setting_odd", problem=warning)
        log.info("operator_starting", server=config.server, settings=redacted(settings))
        gc.collect()
        gc.freeze()  # looking through all that is loaded, again and again, holds up the event loop for 100 ms
        await Operator(api, settings, registry=registry).run(stop)
    return 0


def stop_on_signals() -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets; a second one finds the signals' default action."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stop


def change_level_on_signals(usual: str) -> None:
    """Have SIGUSR1 make the log say everything, and SIGUSR2 what it says usually."""
    loop = asyncio.get_running_loop()

    def change(level: str) -> None:
        set_level(level)
        log.warning("log_level_changed", now=level)  # logged at any level but the highest

    loop.add_signal_handler(signal.SIGUSR1, change, "debug")
    loop.add_signal_handler(signal.SIGUSR2, change, usual)


async def _settings(api: Api, environ: dict[str, str], stop: asyncio.Event) -> Settings | None:
    """Read the settings as soon as the server answers; None if ``stop`` is set first."""
    waited = False
    while not stop.is_set():
        try:
            settings = await read_settings(api, environ, environ["OPERATOR_NAMESPACE"])
        except TransientError as error:
            if not waited:
                log.warning("api_unreachable", error=str(error), again_each_seconds=_RETRY_SECONDS)
            waited = True
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _RETRY_SECONDS)
        else:
            if waited:
                log.info("api_recovered")
            return settings
    return None


def _is_true(text: str) -> bool:
    """Whether a truth value is true; one that is malformed is refused later, with all that is wrong."""
    with suppress(ValueError):
        return kinds.BOOL.parse(text)
    return False


def _in_cluster(environ: dict[str, str]) -> bool:
    return "KUBERNETES_SERVICE_HOST" in environ and not environ.get("KUBECONFIG")
