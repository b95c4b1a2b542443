"""Detection in units of the recording's noise: one idea a file.

`noise_line` -> `background` -> `residual` -> (Gaussian) -> `basins` -> `joining` ->
`extent`, judged by `significance`. See ``docs/algorithms/calibrated.md``.
"""
