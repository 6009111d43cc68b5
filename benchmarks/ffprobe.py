"""The few fields of ffprobe's JSON that NeMo Curator reads, found by PyAV.

python -m benchmarks.ffprobe … FILE
"""

import json
import sys

import av


def main() -> None:
    """Print them; options are taken to be NeMo Curator's."""
    with av.open(sys.argv[-1]) as container:
        streams = [_fields(stream) for stream in container.streams]
        seconds = (container.duration or 0) / av.time_base
    print(json.dumps({"streams": streams, "format": {"duration": f"{seconds:f}"}}))


def _fields(stream):
    fields = {"codec_type": stream.type, "codec_name": stream.codec_context.name}
    if stream.duration is not None:
        fields["duration"] = f"{float(stream.duration * stream.time_base):f}"
    if stream.codec_context.bit_rate:
        fields["bit_rate"] = str(stream.codec_context.bit_rate)
    if stream.type == "video":
        rate = stream.average_rate
        fields |= {
            "width": stream.codec_context.width,
            "height": stream.codec_context.height,
            "pix_fmt": stream.codec_context.pix_fmt,
            "avg_frame_rate": f"{rate.numerator}/{rate.denominator}",
        }
    return fields


if __name__ == "__main__":
    main()
