"""The methods paragraph of a report, with versions and citations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from astrocast.pipeline.report_content import ReportContent, number

_NORMCORRE = (
    "Pnevmatikakis & Giovannucci 2017, NoRMCorre,"
    " https://doi.org/10.1016/j.jneumeth.2017.07.031"
)
_DEEP = (
    "Lecoq et al. 2021, DeepInterpolation, https://doi.org/10.1038/s41592-021-01285-2"
)
_SHRINKAGE = (
    "Gavish & Donoho 2017, Optimal shrinkage of singular values,"
    " https://doi.org/10.1109/TIT.2017.2653801"
)
_PATCHES = (
    "Buchanan et al. 2018, Penalized matrix decomposition,"
    " https://doi.org/10.1101/334706"
)
_ISOTONIC = (
    "Barlow et al. 1972, Statistical Inference under Order Restrictions (isotonic"
    " regression)"
)
_AQUA = "Wang et al. 2019, AQuA, https://doi.org/10.1038/s41593-019-0492-2"


def methods_text(content: ReportContent) -> str:
    """Return a paragraph for the methods section of a paper.

    Empty if the content has no parameters.
    """
    if not content.parameters:
        return ""
    version = content.versions.get("astrocast", "")
    sentences = [
        f"Recordings were processed with astrocast {version}".rstrip() + ".",
        _describe_recording(content),
        *(
            describe(values)
            for stage, describe in (
                ("motion", _describe_motion),
                ("denoising", _describe_denoising),
                ("delta", _describe_delta),
                ("detection", _describe_detection),
            )
            if (values := content.parameters.get(stage))
        ),
        "The trace of an event is the mean over its fixed footprint (all pixels that"
        " belong to it in at least one frame), without the pixels of other events;"
        " amplitudes are measured above a local baseline, a line through the frames"
        " before and after the event. Onset and offset are the crossings of 10% of the"
        " peak; rise time is from 10% to 90%, decay time from 90% to 10%, half width"
        " from 50% to 50% of the peak, on the isotonic fit of the trace.",
        f"Software: {_list_versions(content.versions)}.",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def citations(content: ReportContent) -> list[str]:
    """Return the papers of the algorithms that the run used."""
    if not content.parameters:
        return []
    found = []
    if "motion" in content.parameters:
        found.append(_NORMCORRE)
    if "denoising" in content.parameters:
        by_svd = content.parameters["denoising"].get("method") == "svd"
        found += [_SHRINKAGE, _PATCHES] if by_svd else [_DEEP]
    return [*found, _AQUA, _ISOTONIC]


def _describe_recording(content: ReportContent) -> str:
    frames, rows, columns = content.shape
    text = f"The recording has {frames:,} frames of {rows} x {columns} pixels"
    if content.frame_rate is not None:
        text += f" at {number(content.frame_rate)} Hz"
    return text + "."


def _describe_motion(values: Mapping[str, Any]) -> str:
    kind = "piecewise-rigid" if values.get("pw_rigid") else "rigid"
    if int(values.get("line_bands") or 1) > 1:
        kind = f"rigid ({values['line_bands']} bands of lines)"
    return (
        f"Motion was corrected by {kind} registration to a template (NoRMCorre;"
        f" shifts up to {_plain(values.get('max_shifts'))} pixels)."
    )


def _describe_denoising(values: Mapping[str, Any]) -> str:
    if values.get("method") == "svd":
        return (
            "The movie was denoised by singular value decomposition of patches of"
            f" {values.get('svd_patch')} x {values.get('svd_patch')} pixels."
        )
    return "The movie was denoised by a U-Net that was trained on the recording itself."


def _describe_delta(values: Mapping[str, Any]) -> str:
    text = (
        f"{values.get('method', 'dF')} was computed per pixel with the background"
        f" '{values.get('baseline')}'"
    )
    if values.get("baseline") in ("exponential", "double_exponential"):
        return text + "."
    return text + f" in a window of {values.get('window')} frames on each side."


def _describe_detection(values: Mapping[str, Any]) -> str:
    if values.get("method") != "calibrated":
        return (
            "Events were detected in dF as connected voxels that exceed thresholds in"
            " space and time"
            f" (prominence {values.get('temporal_prominence')},"
            f" threshold {values.get('threshold')})."
        )
    chosen = values.get("calibration", {})
    return (
        "Events were detected in the registered movie in units of its noise"
        f" (Gaussian filter with sigma {chosen.get('smooth_sigma')} pixels and frames;"
        f" at most {chosen.get('false_events')} expected false events per 20 million"
        f" voxels; extent at {chosen.get('extent')} of the smoothed peak; at least"
        f" {chosen.get('min_size')} voxels)."
    )


def _plain(value: Any) -> str:
    return (
        " x ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    )


def _list_versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
