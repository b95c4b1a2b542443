"""From the file of a microscope to a movie that events can be detected in."""
