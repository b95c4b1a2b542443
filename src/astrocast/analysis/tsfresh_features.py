"""Features of the traces of events, computed by tsfresh."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
import pandas as pd

from astrocast.analysis.trace_formats import long_table
from astrocast.errors import MissingExtraError

FeatureSet = Literal["minimal", "efficient"]


def tsfresh_features(
    traces: pd.Series, features: FeatureSet = "minimal"
) -> pd.DataFrame:
    """Return features of traces that tsfresh computes, one row per event.

    Parameters
    ----------
    traces
        One array per event, of any length; NaN counts as 0.
    features
        ``"minimal"``: ten simple ones (mean, variance, maximum ...), for any number of
        events. ``"efficient"``: about 780, some milliseconds per event.

    Returns
    -------
    pandas.DataFrame
        With the index of ``traces``. Features that are missing or infinite for an
        event, and those that are the same for all events, are left out.

    Raises
    ------
    MissingExtraError
        The extra ``tsfresh`` is not installed.

    References
    ----------
    Christ et al. 2018, https://doi.org/10.1016/j.neucom.2018.03.067.
    """
    with warnings.catch_warnings():
        # it and what it imports warn of their own future
        warnings.simplefilter("ignore")
        try:
            import tsfresh
            from tsfresh.feature_extraction import settings
        except ImportError as error:
            purpose = "features by tsfresh"
            raise MissingExtraError("tsfresh", "tsfresh", purpose) from error
        wanted = {
            "minimal": settings.MinimalFCParameters,
            "efficient": settings.EfficientFCParameters,
        }[features]
        numbered = traces.reset_index(drop=True)
        found = tsfresh.extract_features(
            long_table(pd.DataFrame({"trace": numbered})),
            column_id="id",
            column_sort="time",
            default_fc_parameters=wanted(),
            n_jobs=0,
            disable_progressbar=True,
        )
    found.columns = [name.replace("dim_0__", "trace ") for name in found.columns]
    found = found.reindex(numbered.index).set_axis(traces.index)
    finite = np.isfinite(found.to_numpy(float)).all(axis=0)
    differs = (found != found.iloc[0]).any(axis=0).to_numpy()
    return found.loc[:, finite & differs]
