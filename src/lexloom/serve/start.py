"""`lexloom serve FOLDER…`: open model folders, and answer over HTTP until told to end."""

from collections.abc import Sequence
from importlib.util import find_spec

from lexloom.base.console import say
from lexloom.base.errors import UserError
from lexloom.serve.settings import ServeSettings

NEEDED = ("starlette", "uvicorn", "prometheus_client")


def serve(words: Sequence[str], settings: ServeSettings) -> int:
    """Serve the folders (`FOLDER` or `NAME=FOLDER`); returns the exit code when a signal has ended it.

    Golden inputs are replayed before the first request. Raises UserError, FolderError, DamagedError.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"{', '.join(missing)} not installed", fix="Install the extra: python -m pip install 'lexloom[serve]'"
        )
    return _serve(words, settings)


def _serve(words: Sequence[str], settings: ServeSettings) -> int:
    from lexloom.serve.app import app
    from lexloom.serve.gate import Status
    from lexloom.serve.listening import run
    from lexloom.serve.log import Log
    from lexloom.serve.models import named_folders, open_model
    from lexloom.serve.worker import Worker

    models, log, status = {}, Log(prompts=settings.log_prompts), Status()
    worker = Worker(stuck_after_s=settings.limits.stuck_s)
    for name, path in named_folders(words).items():
        models[name] = open_model(name, path, worker, settings.limits)
        say(f"{name}: {', '.join(models[name].routes)}")
    say(f"Listening on http://{settings.host}:{settings.port}  (Ctrl-C ends)")
    engines = [served.engine for served in models.values()]
    return run(app(models, settings, status=status, log=log), settings, status=status, engines=engines, log=log)
