"""Makes a test program receive Ctrl-C, whatever shell started the tests."""

import signal


def heed_interrupts() -> None:
    """For ``preexec_fn``: a shell without job control makes background programs ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
