"""What was found, in English: the one place where findings become sentences.

Nothing reads them but people. Whoever wants to know what was found asks the data.
`reasons` says the cause of a verdict, `remarks` says notes, `symptoms` says what gives
the alarm, `losses` what is odd about a loss, `incidents` what several callbacks know of
an alert, `setups` what was seen of a set-up, `blamed` says which examples are to blame,
and `phrases` are the parts that stand in several sentences.
"""

from keras_gradwatch.findings.sentences.blamed import blamed
from keras_gradwatch.findings.sentences.incidents import about_incident
from keras_gradwatch.findings.sentences.losses import about_loss
from keras_gradwatch.findings.sentences.phrases import handed_on, manner, places
from keras_gradwatch.findings.sentences.reasons import because
from keras_gradwatch.findings.sentences.remarks import brief, note, refusal, why_there
from keras_gradwatch.findings.sentences.symptoms import alarm

__all__ = [
    "about_incident",
    "about_loss",
    "alarm",
    "because",
    "blamed",
    "brief",
    "handed_on",
    "manner",
    "note",
    "places",
    "refusal",
    "why_there",
]
