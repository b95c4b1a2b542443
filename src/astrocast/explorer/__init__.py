"""The explorer: view, tune and curate in the browser (`astrocast explore`)."""
