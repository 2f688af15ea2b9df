"""The program, as ``pose-hrnet`` and as ``python -m pose_hrnet``."""

from pose_hrnet.system.interrupts import end_at_once_on_interrupt


def main() -> None:
    """Begin, so that Ctrl-C is no traceback from the first import on."""
    end_at_once_on_interrupt()
    from pose_hrnet.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
