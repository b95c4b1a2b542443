"""Registration of movies: where each frame, and each patch of it, has moved relative to
a template.

Shifts are in pixels, row then column, positive where the frame moved down or right:
``corrected[p] = frame[p + shift]``.
"""
