"""`lexloom serve FOLDER…`: open model folders, and answer over HTTP until told to end."""

from collections.abc import Sequence
from importlib.util import find_spec

from lexloom.base.console import say
from lexloom.base.errors import UserError
from lexloom.serve.settings import ServeSettings
from lexloom.serve.studio.settings import StudioSettings

NEEDED = ("starlette", "uvicorn", "prometheus_client")


def serve(
    words: Sequence[str], settings: ServeSettings, studio: StudioSettings | None = None, *, browse: bool = False
) -> int:
    """Serve the folders (`FOLDER` or `NAME=FOLDER`); returns the exit code when a signal has ended it.

    The page at `/` shows what `studio` says, besides the models; with `browse` it is opened in a browser.

    Golden inputs are replayed before the first request. Raises UserError, FolderError, DamagedError.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"{', '.join(missing)} not installed", fix="Install the extra: python -m pip install 'lexloom[serve]'"
        )
    return _serve(words, settings, StudioSettings() if studio is None else studio, browse=browse)


def _serve(words: Sequence[str], settings: ServeSettings, studio: StudioSettings, *, browse: bool) -> int:
    from lexloom.serve.app import app
    from lexloom.serve.gate import Status
    from lexloom.serve.listening import run
    from lexloom.serve.log import Log
    from lexloom.serve.models import named_folders, open_model
    from lexloom.serve.studio.opening import open_when_ready
    from lexloom.serve.studio.routes import studio_routes
    from lexloom.serve.worker import Worker

    models, log, status = {}, Log(prompts=settings.log_prompts), Status()
    worker = Worker(stuck_after_s=settings.limits.stuck_s)
    for name, path in named_folders(words).items():
        models[name] = open_model(name, path, worker, settings.limits)
        say(f"{name}: {', '.join(models[name].routes)}")
    say(f"Listening on http://{settings.host}:{settings.port}  (Ctrl-C ends)")
    engines = [served.engine for served in models.values()]
    application = app(models, settings, status=status, log=log, more=studio_routes(studio))
    if browse:
        open_when_ready(settings.host, settings.port)
    return run(application, settings, status=status, engines=engines, log=log)
