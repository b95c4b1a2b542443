"""The explorer: see, tune and curate in the browser (`astrocast explore`)."""
