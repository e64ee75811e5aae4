"""`masksweep serve`: the service that a team shares."""

import errno
import logging
import os
import resource
import signal
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import uvicorn

from sweeps.api.app import create_app
from sweeps.api.config import ServiceConfig
from sweeps.api.paths import DataRoots
from sweeps.bootstrap import open_service
from sweeps.cli.connections import Loop, connection_class
from sweeps.cli.output import words
from sweeps.core.errors import UserError
from sweeps.invocation import command
from sweeps.launchers.choice import make_launcher
from sweeps.notify.notifier import Notifier
from sweeps.notify.places import Place, read_places
from sweeps.service import SweepService
from sweeps.settings import Settings
from sweeps.store.tokens import Tokens
from sweeps.supervisor.scheduler import Scheduler
from sweeps.supervisor.supervisor import Supervisor
from sweeps.tracking.mirror import Mirror

DESCRIPTORS, DESCRIPTORS_KEPT = 65_536, 256
"""Files and connections that the process may have open, if the system lets it; not for clients."""

STREAMS_S = 3
"""Seconds that open event streams get when the service stops."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the service listens.

    Attributes:
        host: An address of this machine.
        port: 1 to 65535, or 0 for any that is free.
        certificate: PEM file of the server's certificate, or None for plain HTTP.
        key: PEM file of its key, or None where the certificate's file holds it.
        proxies: Addresses of reverse proxies that are believed whose requests they pass on.
    """

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None
    proxies: tuple[str, ...] = ()


def serve(settings: Settings, listening: Listening, *, supervise: bool) -> None:
    """Answers requests until it is told to stop (Ctrl-C or SIGTERM).

    Raises:
        UserError: The store cannot be opened, the address is taken, or places to notify are wrong.
    """
    _check(listening)
    places = read_places()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)  # what it loads, at each start
    service = open_service(settings, create=True)
    app = create_app(
        service,
        ServiceConfig(
            DataRoots(settings.data_roots),
            tracking_uri=settings.tracking_uri,
            artifact_root=settings.artifact_root,
            drives_here=settings.drives_here,
            https=listening.certificate is not None,
        ),
    )
    app.openapi()  # half a second, in which no request is to wait: it says what a query may hold
    config = uvicorn.Config(
        app,
        host=listening.host,
        port=listening.port,
        log_config=None,
        access_log=False,  # the numbers are at /metrics, and who changed what is in the store
        server_header=False,
        timeout_graceful_shutdown=STREAMS_S,
        http=connection_class(),
        loop=f"{Loop.__module__}:{Loop.__qualname__}",
        limit_concurrency=_descriptors() - DESCRIPTORS_KEPT,
        # else anybody here would be whom they say they are, and each guess of a token another one's
        proxy_headers=bool(listening.proxies),
        forwarded_allow_ips=list(listening.proxies),
        ssl_certfile=listening.certificate,
        ssl_keyfile=listening.key,
    )
    bound = _bound(config)
    scheme = "https" if listening.certificate else "http"
    port = bound.getsockname()[1]
    host = f"[{listening.host}]" if ":" in listening.host else listening.host
    words.print(f"masksweep serves {scheme}://{host}:{port}, home {settings.home}", markup=False)
    if not any(token.usable(app.state.core.now) for token in Tokens(service.engine).all()):
        hint = command(settings, "token", "create", "NAME", "--scope", "admin")
        words.print(f"\nhint: nobody has a token yet: {hint}", markup=False)
    if not settings.data_roots:
        words.print("hint: MASKSWEEP_DATA_ROOTS is not set: specs can name no data", markup=False)
    for place in places:
        told = ", ".join(sorted(place.kinds))
        words.print(f"it notifies {place.place_id} of: {told}", markup=False)
    # uvicorn raises the signal that stopped it once more at its end, before the supervisor has stopped
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stopped_already)
    with (
        _notifying(service, settings, places) if places else nullcontext(),
        _supervised(service, settings) if supervise else nullcontext(),
    ):
        uvicorn.Server(config).run(sockets=[bound])


def _check(listening: Listening) -> None:
    """Looks at what uvicorn would stumble over, or take without a word.

    Raises:
        UserError: A certificate without its key or the other way round, or what is no address of a proxy.
    """
    certificate, key = listening.certificate, listening.key
    if key is not None and certificate is None:
        raise UserError("got --tls-key without --tls-certificate", "name both, or a file that holds both")
    if certificate is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        except (OSError, ValueError) as error:  # an SSLError is an OSError
            hint = "--tls-certificate takes the certificate and --tls-key its key, both as PEM"
            raise UserError(f"{certificate} is no certificate with its key: {error}", hint) from error
    for proxy in listening.proxies:
        if proxy != "*":
            try:
                ip_network(proxy)
            except ValueError as error:
                hint = "as 10.0.0.7 or 10.0.0.0/24; * believes everybody"
                raise UserError(f"--proxy: {error}", hint) from error


def _descriptors() -> int:
    """How many there may be, once as many as possible are asked for: shells give 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def _stopped_already(*_: object) -> None:
    """What a signal does that has been acted on."""


def _bound(config: uvicorn.Config) -> Any:
    """The socket, bound before anything is said to be there."""
    log = logging.getLogger("uvicorn.error")
    log.setLevel(logging.CRITICAL)  # the error below says it
    try:
        bound = config.bind_socket()
        # uvicorn's has no protocol by name, so that asyncio leaves Nagle's algorithm on: 40 ms an answer
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound.listen(config.backlog)  # who asks as soon as it is said to be there waits, and is not refused
        return bound
    except (OSError, SystemExit) as error:  # uvicorn exits where the address is taken
        cause = error if isinstance(error, OSError) else error.__context__
        taken = isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE
        hint = "another program has it: try --port 8758" if taken else "--host names one of this machine's"
        raise UserError(f"cannot listen on {config.host}:{config.port}: {cause}", hint) from error
    finally:
        log.setLevel(logging.INFO)


@contextmanager
def _supervised(service: SweepService, settings: Settings) -> Iterator[None]:
    """Schedules fire, and drivers of submitted sweeps are looked after, meanwhile."""
    launcher, name = make_launcher(settings), settings.launcher
    supervisor = Supervisor(service, launcher, launcher_name=name, pool_gpus=settings.pool_gpus)
    scheduler = Scheduler(service, roots=settings.data_roots)
    stop = threading.Event()
    # a night's data is read before its sweep is created, which may take longer than the supervisor's lease
    threads = [
        threading.Thread(target=supervisor.run, args=(stop,), name="supervisor"),
        threading.Thread(target=scheduler.run, args=(stop,), name="scheduler"),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@contextmanager
def _notifying(service: SweepService, settings: Settings, places: Sequence[Place]) -> Iterator[None]:
    """People are told meanwhile what happens."""
    mirror = Mirror(service, settings.tracking_uri, artifact_root=settings.artifact_root)
    by = f"{socket.gethostname()}/{os.getpid()}"
    notifier = Notifier(service, places, lambda sweep_id: mirror.links(sweep_id).compare_url, by=by)
    notifier.start()
    try:
        yield
    finally:
        notifier.stop()
