"""Errors that a person is meant to read: the message says what to do, and no traceback is shown."""


class StackError(Exception):
    """Something that devstack needs cannot be had, or ended early."""


class NotReadyError(StackError):
    """A process ended, or its time was up, before it answered."""


class GivenServerError(StackError):
    """A server that the environment names does not answer. Never a reason to start another instead."""
