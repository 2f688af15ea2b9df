"""``python -m pose_hrnet`` is ``pose-hrnet``."""

from pose_hrnet.cli.app import main

if __name__ == "__main__":
    main()
