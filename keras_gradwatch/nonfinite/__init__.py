"""Where a NaN or an infinity came from.

Data flows one way. A `session` watches a training with `watch`, `logs` and `trend`,
and makes of a step that went wrong a `failure`. `locate` runs it again: node by node as
it was traced (`traced_replay`, with `marking`), or eagerly where there is no graph
(`eager_replay`, with `probes`); either gives a `run` with `marks`, and `updates` go on
from there. It finds the place (`culprit`) and the examples of the batch (`blame`), and
gathers `evidence`; `words` says it. `saved` keeps the step on disk. `blame`, `trend`
and `saved` need neither a model nor a graph.
"""
