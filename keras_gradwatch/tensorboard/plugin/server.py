"""What the tab asks the server for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensorboard import plugin_util
from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug.wrappers import Request

from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.states import rank
from keras_gradwatch.tensorboard.plugin import answers
from keras_gradwatch.tensorboard.plugin.runs import Check, RunReader, RunSummary
from keras_gradwatch.tensorboard.tags import PLUGIN

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_STATIC = Path(__file__).parent / "static"
_TYPES = {".js": "text/javascript", ".css": "text/css"}


class GradientCheckPlugin(base_plugin.TBPlugin):
    """The tab "Gradients".

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
            es_module_path="/static/index.js", tab_name="Gradients"
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
        """The state and the worst finding of each run, the worst run first."""
        answer = [
            answers.run(name, found)
            for name, found in self._runs.read(*_scope(request)).items()
        ]
        answer.sort(key=lambda one: rank(one["state"]))
        return http_util.Respond(request, answer, "application/json")

    def _serve_grid(self, request: Request) -> WSGIApplication:
        """One run: its findings, timeline and grid."""
        name = request.args.get("run", "")
        found = self._read(request, name)
        if found is None:
            return _not_found(request, "no such run")
        told = answers.story(found)
        worst = answers.told_by(told, found)
        report = self._report(request, name, worst)
        answer = answers.grid(found, told, report)
        return http_util.Respond(request, answer, "application/json")

    def _serve_check(self, request: Request) -> WSGIApplication:
        """One check as a whole, or one variable in it, with all figures."""
        name = request.args.get("run", "")
        found = self._read(request, name) or RunSummary()
        key = request.args.get("check", "")
        asked = next((check for check in found.checks if check.key == key), None)
        report = self._report(request, name, asked)
        answer = None
        if asked is not None and report is not None:
            variable = request.args.get("variable", "")
            if variable:
                answer = answers.variable(found, asked, report, variable)
            else:
                answer = answers.check(found, asked, report)
        if answer is None:
            return _not_found(request, "the details of this check can't be read")
        return http_util.Respond(request, answer, "application/json")

    def _read(self, request: Request, name: str) -> RunSummary | None:
        return self._runs.read(*_scope(request), run=name).get(name)

    def _report(
        self, request: Request, name: str, check: Check | None
    ) -> GradientReport | None:
        if check is None:
            return None
        return self._runs.read_report(*_scope(request), name, check)


def _scope(request: Request) -> tuple[Any, str]:
    """TensorBoard's `RequestContext` and experiment."""
    environ = request.environ
    return plugin_util.context(environ), plugin_util.experiment_id(environ)


def _not_found(request: Request, why: str) -> WSGIApplication:
    return http_util.Respond(request, {"error": why}, "application/json", code=404)
