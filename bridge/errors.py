"""Every error that stagebus raises in Python; those of the database carry its SQLSTATE."""


class StagebusError(Exception):
    """The root of them all."""


class MigrationError(StagebusError):
    """The database cannot be brought to the state of this checkout."""
