"""Every error that the service and its commands raise."""


class StagebusError(Exception):
    """The root of them all."""


class MigrationError(StagebusError):
    """The database cannot be brought to the state of this checkout."""


class SettingsError(StagebusError):
    """A setting is missing or out of its range."""


class DatabaseUnavailable(StagebusError):
    """The database cannot be reached, or went away during a call: what it did is not known."""


class CallTimedOut(DatabaseUnavailable):
    """The database did not answer in time: its host has vanished, or a call takes too long."""


class UnsafeDatabase(StagebusError):
    """The database's server may forget what it has committed."""


class IncompatibleDatabase(StagebusError):
    """The database is there, but its stagebus is not one that this program can work with."""


class CallRefused(StagebusError):
    """The database refused a call with an error of its own; bridge.client.refusals has one for
    each code."""

    code: str
    """The SQLSTATE, SB101 and on."""

    def __init__(self, message: str, detail: str, hint: str) -> None:
        super().__init__(f"{message}. {detail} {hint}")
        self.message = message
        """What happened."""
        self.detail = detail
        """The rule."""
        self.hint = hint
        """What to do."""


class PublicationUnknown(StagebusError):
    """The database does not answer what became of a stage, which may be published."""


class ResultRefused(StagebusError):
    """The database does not keep a task's result: it is too large, or no jsonb can hold it."""


class BrokerUnavailable(StagebusError):
    """No link to the broker could be opened; nothing was sent."""


class EntityUnavailable(BrokerUnavailable):
    """The broker serves this entity no link, or takes no send for it; nothing has arrived."""


class NotFound(StagebusError):
    """There is no such job, stage or batch."""
