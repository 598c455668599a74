"""The command: ``dvbboxes``, and ``python -m dvbboxes``."""

import os


def cli() -> None:
    """Run the command line of this process and exit; a TAB is answered without all that a command needs."""
    if "_ARGCOMPLETE" in os.environ:
        from dvbboxes.completion import answer

        answer(os.environ.get("COMP_LINE", ""))
    from dvbboxes.main import cli as run

    run()


if __name__ == "__main__":
    cli()
