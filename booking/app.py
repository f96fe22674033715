"""The composition: the only room that knows every floor; makes the web application and the command line."""

import os
from collections.abc import Callable
from email.utils import parseaddr
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from booking import cli, clinic, config, logs
from booking.clinic import Clinic
from booking.config import Settings, SettingsWrong
from booking.database import Database
from booking.delivery import mail, sms
from booking.delivery.letters import Letters
from booking.keyring import Keyring
from booking.receipts import Receipts
from booking.runtime import Outside, Runtime
from booking.spool import Spool
from booking.web import errors, headers, static_files
from booking.web.api import api
from booking.web.appointments import appointments
from booking.web.catalog import catalog
from booking.web.health import health
from booking.web.holds import hold_routes
from booking.web.hooks import hooks
from booking.web.metrics import metrics
from booking.web.parsing import BODY_BYTES
from booking.web.public import public
from booking.web.slots import slot_routes
from booking.web.staff.leads import staff_leads

Way = TypeVar("Way")


def create_app(settings: Settings) -> Flask:
    """The web application, ready to answer; its parts are in `app.extensions["booking"]` (a Runtime)."""
    app = Flask(__name__, static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=BODY_BYTES,
        TRUSTED_HOSTS=list(settings.trusted_hosts) or None,
    )
    app.extensions["booking"] = open_runtime(settings)
    _count_traffic(app)
    headers.register(app)
    errors.register(app)
    static_files.register(app)
    for blueprint in (
        public,
        api,
        catalog,
        slot_routes,
        hold_routes,
        appointments,
        health,
        staff_leads,
        hooks,
        metrics,
    ):
        app.register_blueprint(blueprint)
    if depth := settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=depth, x_proto=depth)  # type: ignore[method-assign]  # Flask's documented way
    return app


def _count_traffic(app: Flask) -> None:
    traffic, answer = app.extensions["booking"].traffic, app.wsgi_app

    def counted(environ: Any, start_response: Any) -> Any:
        traffic.come()
        try:
            return answer(environ, start_response)
        finally:
            traffic.go()

    app.wsgi_app = counted  # type: ignore[method-assign]  # Flask's documented way


def open_runtime(settings: Settings) -> Runtime:
    """Open the parts that the settings describe."""
    logs.configure(settings.log_level)  # before anything can be logged: a traceback can quote what a visitor typed
    keyring = Keyring(settings.encryption_keys, settings.secret_key)
    words = clinic.load(settings.clinic_file or clinic.DEFAULT_PATH)
    return Runtime(
        clinic=words,
        database=Database(settings.database_url, threads=settings.threads),
        keyring=keyring,
        spool=Spool(settings.data_dir / "spool", settings.spool_limit_mb * 1_000_000, keyring.seal, keyring.open),
        receipts=Receipts(settings.data_dir / "receipts.log"),
        outside=_ways_outside(settings, words),
        base_url=settings.base_url,
        allowed_origins=settings.allowed_origins,
        production=settings.production,
    )


def _ways_outside(settings: Settings, words: Clinic) -> Outside:
    sender = settings.mail_from or words.email
    open_mailer = partial(mail.open_mailer, settings.mail_url, sender, settings.data_dir / "mail")
    _as_set("MAIL_URL", open_mailer).close()  # what is written wrong is said now, and not when a letter waits
    return Outside(
        letters=Letters(Path(__file__).with_name("templates")),
        open_mailer=open_mailer,
        mail_domain=parseaddr(sender)[1].rpartition("@")[2],
        texts=_as_set("SMS_URL", partial(sms.open_provider, settings.sms_url)),
        desk=settings.staff_emails or (words.email,),
        alarm_url=settings.alarm_url,
        guarded=settings.production,
        watch_minutes=settings.watch_minutes,
        webflow_secret=settings.webflow_secret,
        webflow_signing_key=settings.webflow_signing_key,
    )


def _as_set(name: str, open_it: Callable[[], Way]) -> Way:
    try:
        return open_it()
    except ValueError as wrong:
        raise SettingsWrong([f"{config.PREFIX}{name}: {wrong}"]) from None


def read_settings() -> Settings:
    """The settings of this process: its environment, and `.env` in the folder it runs in."""
    return config.load(os.environ, Path(".env"))


def main() -> None:
    """The `booking` command; what it writes is its owner's alone, for it is about people's health."""
    os.umask(0o077)
    cli.booking(obj=cli.Doorway(read_settings, create_app, open_runtime))
