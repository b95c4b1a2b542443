"""``python -m astrocast``: the same as the command ``astrocast``."""

from astrocast.cli.app import script

if __name__ == "__main__":
    script()
