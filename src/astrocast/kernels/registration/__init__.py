"""Registration: shifts of each frame, and of each patch, relative to a template.

Shifts are in pixels, row then column, positive where the frame moved down or right:
``corrected[p] = frame[p + shift]``.
"""
