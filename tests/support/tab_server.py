"""What the tab's server reads, without a server."""

from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import (
    EventMultiplexer,
)
from tensorboard.context import RequestContext

from keras_gradwatch.tensorboard.plugin.runs import RunReader
from keras_gradwatch.tensorboard.tags import PLUGIN


def summary_of(log, run="gradwatch"):
    """What TensorBoard's slow loader reads of a run."""
    events = EventMultiplexer(tensor_size_guidance={PLUGIN: 0})
    events.AddRunsFromDirectory(str(log))
    events.Reload()
    provider = MultiplexerDataProvider(events, str(log))
    return RunReader(provider, str(log)).read(RequestContext(), "")[run]
