"""How pixels of a video become RGB and back: with the same bytes on every machine."""

from __future__ import annotations

from av.video.reformatter import Interpolation

# swscale's fast paths, its default where the processor has vector instructions, cost 1 to 2 dB and differ between
# processors.
EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.BITEXACT
)
