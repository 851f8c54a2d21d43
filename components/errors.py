"""The errors that Otoscope raises for its users.

The text of each is one finished sentence: which file or setting, what is wrong, what to do next.
A page shows it as it stands, the command line writes it into the row of the file.
"""


class OtoscopeError(Exception):
    """Anything that a user can do something about."""


class DecodeError(OtoscopeError):
    """A file that cannot be opened as sound."""


class ParameterError(OtoscopeError, ValueError):
    """A setting outside its range."""


class ModelError(OtoscopeError):
    """A model that cannot be found, loaded or asked for this."""


class Cancelled(OtoscopeError):
    """Raised inside a progress callback to stop the work that reports to it."""
