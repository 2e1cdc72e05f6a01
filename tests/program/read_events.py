#!/usr/bin/env python3
"""Reads the events of a folder with TensorBoard itself and prints what it finds, a line per fact. Used by test_events.sh.

    tests/program/read_events.py FOLDER
"""
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "images": 0})
events.Reload()
for tag in sorted(events.Tags()["scalars"]):
    found = events.Scalars(tag)
    print("scalar", tag, len(found), found[0].step, found[-1].step, f"{found[-1].value:.6g}")
for tag in sorted(events.Tags()["images"]):
    found = events.Images(tag)
    png = found[-1].encoded_image_string
    print("image", tag, len(found), found[-1].step, found[-1].width, found[-1].height, png[:4] == b"\x89PNG", len(png))
content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
start = metadata.parse_session_start_info_plugin_data(content)
for name in sorted(start.hparams):
    value = start.hparams[name]
    print("setting", name, getattr(value, value.WhichOneof("kind")))
print("group", start.group_name)
