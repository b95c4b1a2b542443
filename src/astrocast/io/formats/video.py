"""Read and write AVI and MP4 with the optional package PyAV.

They have 8 bits and lossy compression: use them only for viewing.
"""

from __future__ import annotations

import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import (
    AstrocastWarning,
    FormatError,
    InvalidValueError,
    MissingExtraError,
    OutputError,
    stack_level,
)
from astrocast.io.recording import (
    ALL,
    Metadata,
    Recording,
    RecordingWriter,
    check_block,
    check_movie_shape,
)
from astrocast.io.writing.files import Replacement

#: frames per second of a video if the frame rate of the recording is not known
DEFAULT_RATE = 25.0
CODECS = {".mp4": "libx264", ".avi": "mjpeg"}


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError(
            "av", "video", "reading and writing AVI and MP4"
        ) from error
    return av


class VideoRecording(Recording):
    """A video as grey values.

    A video is decoded from its first frame on: reading in order is fast, reading
    backwards is slow.
    """

    path: Path

    def __init__(self, path: Path, loc: str | None = None) -> None:
        av = _av()
        self.path = path
        try:
            with av.open(str(path)) as container:
                if not container.streams.video:
                    raise FormatError(f"{path} has no video stream")
                stream = container.streams.video[0]
                n = sum(1 for _ in container.decode(stream))
                self.shape = check_movie_shape(
                    (n, stream.height, stream.width), str(path)
                )
                rate = stream.average_rate
                deep = stream.pix_fmt in (
                    "gray16le",
                    "gray16be",
                    "gray10le",
                    "gray12le",
                )
        except av.FFmpegError as error:
            raise FormatError(f"{path} cannot be read as a video: {error}") from error
        self._format = "gray16le" if deep else "gray"
        self.dtype = np.dtype(np.uint16 if deep else np.uint8)
        self.metadata = Metadata(frame_rate=float(rate) if rate else None)
        self._container: Any = None
        self._position = 0

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block, see `Recording.read`; only from one thread at a time."""
        av = _av()
        block = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
        try:
            if self._container is None or start < self._position:
                self.close()
                self._container = av.open(str(self.path))
                self._frames = self._container.decode(self._container.streams.video[0])
                self._position = 0
            while self._position < stop:
                frame = next(self._frames)
                if self._position >= start:
                    block[self._position - start] = frame.to_ndarray(
                        format=self._format
                    )
                self._position += 1
        except (av.FFmpegError, StopIteration) as error:
            raise FormatError(
                f"{self.path} ended at frame {self._position} of {self.shape[0]}:"
                f" {error}"
            ) from error
        return np.ascontiguousarray(block[:, rows, columns])

    def close(self) -> None:
        """Close the file."""
        if self._container is not None:
            self._container.close()
            self._container = None


class VideoWriter(RecordingWriter):
    """Write a video for viewing, with 8 bits.

    Values are scaled from the 0.1 to the 99.9 percentile of the first block.
    """

    def __init__(
        self,
        path: Path,
        loc: str | None,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        **options: Any,
    ):
        av = _av()
        if options.get("compression"):
            raise InvalidValueError(
                "compression cannot be set for a video; leave compression out"
            )
        self.path, self.shape, self.dtype = path, shape, dtype
        self._new = Replacement(path, overwrite=options.get("overwrite", False))
        metadata: Metadata = options.get("metadata") or Metadata()
        suffix = path.suffix.lower()
        try:
            self._container = av.open(str(self._new.beside), "w", format=suffix[1:])
        except (av.FFmpegError, OSError) as error:
            raise OutputError(
                f"{path.parent} cannot be written to: {error}; choose another folder"
            ) from error
        speed = Fraction(metadata.frame_rate or DEFAULT_RATE).limit_denominator(1000)
        self._stream = self._container.add_stream(CODECS[suffix], rate=speed)
        # colour is stored per 2 x 2 pixels: height and width have to be even
        self._stream.height, self._stream.width = (
            shape[1] + shape[1] % 2,
            shape[2] + shape[2] % 2,
        )
        self._stream.pix_fmt = "yuv420p" if suffix == ".mp4" else "yuvj420p"
        self._range: tuple[float, float] | None = None
        self._next = 0

    def write(self, start: int, block: NDArray[Any]) -> None:
        """Encode the block."""
        av = _av()
        check_block(self, start, block)
        if start != self._next:
            raise InvalidValueError(
                f"blocks are written in order: expected frame {self._next}, got {start}"
            )
        for frame in self._grey(block):
            padded = np.pad(
                frame, ((0, self.shape[1] % 2), (0, self.shape[2] % 2)), mode="edge"
            )
            image = av.VideoFrame.from_ndarray(padded, format="gray")
            self._container.mux(self._stream.encode(image))
        self._next += len(block)

    def _grey(self, block: NDArray[Any]) -> NDArray[np.uint8]:
        if block.dtype == np.uint8:
            return block
        if self._range is None:
            low, high = np.percentile(block, (0.1, 99.9))
            self._range = float(low), float(max(high, low + 1e-6))
            warnings.warn(
                f"a video has 8 bits: {self._range[0]:g} to {self._range[1]:g} became 0"
                " to 255. It is only for viewing; store the recording itself as .h5 or"
                " .zarr",
                AstrocastWarning,
                stacklevel=stack_level(),
            )
        low, high = self._range
        return np.clip((block - low) * (255.0 / (high - low)), 0, 255).astype(np.uint8)

    def commit(self) -> None:
        """Finish the video and rename it."""
        if self._next != self.shape[0]:
            self.discard()
            raise InvalidValueError(
                f"{self._next} of {self.shape[0]} frames were written to {self.path}"
            )
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._new.commit()

    def discard(self) -> None:
        """Close and remove the unfinished output."""
        self._container.close()
        self._new.discard()
