"""A program of the tests hears Ctrl-C, however the tests themselves were started."""

import signal


def heed_interrupts() -> None:
    """For ``preexec_fn``: a shell without job control starts what is in the background deaf to SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
