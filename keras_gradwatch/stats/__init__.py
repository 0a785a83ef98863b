"""Statistics of the gradients that train a model, and when they give the alarm.

Data flows one way. A `gauge` runs the step that comes next on a copy, and makes a
reading of it; `alarms` listens to readings, and makes alerts of what goes on.
"""
