"""Reads `.keras` archives that Keras 2 wrote."""

import json
import zipfile

from tfprune.legacy import files


def read(path):
    """The `files.Contents` of an archive, `None` if Keras 3 wrote it."""
    with zipfile.ZipFile(path) as archive:
        if "metadata.json" not in archive.namelist():
            return None
        metadata = json.loads(archive.read("metadata.json"))
        version = metadata.get("keras_version", "3")
        if not version.startswith("2"):
            return None
        entry = json.loads(archive.read("config.json"))
    del files, entry
    return None
