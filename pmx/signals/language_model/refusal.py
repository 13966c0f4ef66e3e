"""Why there is no answer of a language model."""

from __future__ import annotations

from pmx.errors import SignalError


class Refused(SignalError):  # noqa: N818 - an outcome, which the engine turns into silence
    """An answer that is not believed, with a reason that holds nothing of what the server has sent."""
