"""What the tab asks the server for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensorboard import plugin_util
from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug.wrappers import Request

from keras_gradwatch.tensorboard.plugin import answers
from keras_gradwatch.tensorboard.plugin.runs import RunReader
from keras_gradwatch.tensorboard.tags import PLUGIN

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_STATIC = Path(__file__).parent / "static"
_TYPES = {".js": "text/javascript", ".css": "text/css"}


class GradientCheckPlugin(base_plugin.TBPlugin):
    """The tab "Gradient check".

    Args:
        context: TensorBoard's `TBContext`.
    """

    plugin_name = PLUGIN

    def __init__(self, context: Any):
        self._runs = RunReader(context.data_provider, context.logdir)
        # Only these can be asked for, whatever path a request spells.
        self._files = {f.name: f for f in _STATIC.iterdir() if f.suffix in _TYPES}

    def is_active(self) -> bool:
        # TensorBoard sees by itself whether there are events of this plugin.
        return False

    def frontend_metadata(self) -> Any:
        return base_plugin.FrontendMetadata(
            es_module_path="/static/index.js", tab_name="Gradient check"
        )

    def get_plugin_apps(self) -> dict[str, WSGIApplication]:
        routes = {
            "/static/*": self._serve_file,
            "/runs": self._serve_runs,
            "/grid": self._serve_grid,
            "/check": self._serve_check,
        }
        return {path: Request.application(serve) for path, serve in routes.items()}

    def _serve_file(self, request: Request) -> WSGIApplication:
        file = self._files.get(request.path.rpartition("/")[2])
        if file is None:
            return _not_found(request, "no such file")
        return http_util.Respond(request, file.read_bytes(), _TYPES[file.suffix])

    def _serve_runs(self, request: Request) -> WSGIApplication:
        """The headline of each run."""
        answer = [
            answers.run(name, found)
            for name, found in self._runs.read(*_scope(request)).items()
        ]
        return http_util.Respond(request, answer, "application/json")

    def _serve_grid(self, request: Request) -> WSGIApplication:
        """All verdicts of one run."""
        name = request.args.get("run", "")
        found = self._runs.read(*_scope(request), run=name)
        if name not in found:
            return _not_found(request, "no such run")
        answer = answers.grid(found[name])
        return http_util.Respond(request, answer, "application/json")

    def _serve_check(self, request: Request) -> WSGIApplication:
        """One variable in one check, with all figures."""
        run, check, key = (
            request.args.get(k, "") for k in ("run", "check", "variable")
        )
        report = self._runs.read_report(*_scope(request), run, check)
        answer = report and answers.variable(report, key)
        if not answer:
            return _not_found(request, "the details of this check can't be read")
        return http_util.Respond(request, answer, "application/json")


def _scope(request: Request) -> tuple[Any, str]:
    """TensorBoard's `RequestContext` and experiment."""
    environ = request.environ
    return plugin_util.context(environ), plugin_util.experiment_id(environ)


def _not_found(request: Request, why: str) -> WSGIApplication:
    return http_util.Respond(request, {"error": why}, "application/json", code=404)
