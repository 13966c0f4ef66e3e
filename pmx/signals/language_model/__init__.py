"""Signals from a language model behind any OpenAI-compatible endpoint, for symbols that no other engine speaks of.

The standard library is all that is needed. Nothing that an endpoint sends is trusted.
"""

from pmx.signals.language_model.answer import Opinion, opinions_from
from pmx.signals.language_model.engine import LanguageModelFallback
from pmx.signals.language_model.exchange import Endpoint
from pmx.signals.language_model.refusal import Refused
from pmx.signals.language_model.secret import Secret

__all__ = ["Endpoint", "LanguageModelFallback", "Opinion", "Refused", "Secret", "opinions_from"]
