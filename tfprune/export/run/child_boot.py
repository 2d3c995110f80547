"""What a child process runs: `python child_boot.py SYS_PATH SCRIPT`.

The request comes as JSON on stdin, the answer goes as JSON into the file
that it names.
"""

import json
import runpy
import sys


def main():
    sys.path[:] = json.loads(sys.argv[1])
    script = runpy.run_path(sys.argv[2])
    script["prepare"]()
    message = json.load(sys.stdin)
    try:
        reply = {"result": script["handle"](message["request"])}
    except Exception as error:
        reply = {"error": f"{type(error).__name__}: {error}"}
    with open(message["answer"], "w") as file:
        json.dump(reply, file)


if __name__ == "__main__":
    main()
