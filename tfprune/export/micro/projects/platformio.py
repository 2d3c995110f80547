"""A PlatformIO project with the Arduino framework.

The library comes from PlatformIO's registry.

https://docs.platformio.org/en/latest/projectconf/
"""

import string

from tfprune.export.micro import firmware
from tfprune.export.micro.projects import arduino
from tfprune.export.micro.projects import layout

_INI = string.Template("""\
; Written by tfprune as a starting point; later exports do not change it.
;   pio run                    builds for the first board
;   pio run -e NAME -t upload  builds for a board and flashes it
;   pio device monitor         shows the output of the self-test
; For another board, add a section with its `platform` and `board`.
[platformio]
default_envs = nano33ble

[env]
framework = arduino
lib_deps = $owner/$library@^2.0.0
build_flags = -I .
build_src_filter = +<*> $sources
monitor_speed = 115200

[env:nano33ble]
platform = nordicnrf52
board = nano33ble

[env:nicla_vision]
platform = ststm32
board = nicla_vision

[env:esp32-s3-devkitc-1]
platform = espressif32
board = esp32-s3-devkitc-1
""")


def _starts(sources):
    listed = " ".join(f"+<../{path}>" for path in sources.compiled)
    return {
        "platformio.ini": _INI.substitute(
            owner="spaziochirale", library=arduino.MANAGED, sources=listed
        ),
        "src/main.cpp": firmware.sketch(
            sources.file,
            sources.name,
            "Arduino.h",
            arduino.MANAGED_HEADER,
        ),
    }


PLATFORMIO = layout.Layout(
    starts=_starts,
    mark=lambda name: "platformio.ini",
    refusal=arduino.refusal,
    dense_scales="tensor",
)
