"""What TensorBoard's entry point finds.

An error on import here would keep the whole of TensorBoard from starting, and
time spent here is spent at each start: the tab itself is imported in `load`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorboard.plugins import base_plugin

from keras_gradwatch.tensorboard.tags import PLUGIN

if TYPE_CHECKING:
    from keras_gradwatch.tensorboard.plugin.server import GradientCheckPlugin

_ALL = 0  # in TensorBoard's words: keep every sample


class GradientCheckLoader(base_plugin.TBLoader):
    """Loads the tab."""

    def fix_flags(self, flags: Any) -> None:
        # By default TensorBoard would drop most checks. What the user asks for counts.
        asked = flags.samples_per_plugin or {}
        flags.samples_per_plugin = {PLUGIN: _ALL, **asked}

    def load(self, context: Any) -> GradientCheckPlugin | None:
        if context.data_provider is None:
            return None
        from keras_gradwatch.tensorboard.plugin.server import GradientCheckPlugin

        return GradientCheckPlugin(context)
