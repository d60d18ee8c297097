"""What Google's command line itself says of its commands: run by the Python that comes with the SDK.

    tests/unit/gcp/sdk.py flags   reads commands, a line each; prints the flags that each has, as JSON
    tests/unit/gcp/sdk.py parse   reads whole command lines, as JSON lists; prints a line for each that gcloud does not take

Nothing is sent anywhere: only the tree of commands and its parser are used.
"""

import json
import sys
from pathlib import Path

root = Path(sys.argv[2])
sys.path[:0] = [str(root / "lib"), str(root / "lib" / "third_party")]

from googlecloudsdk import gcloud_main  # noqa: E402

cli = gcloud_main.CreateCLI([])


def flags(path):
    element = cli._TopElement()
    for word in path.split()[1:]:
        element = element.LoadSubElement(word)
    everywhere = {text for argument in cli._TopElement().ai.flag_args for text in argument.option_strings}
    own = {text for argument in [*element.ai.flag_args, *element.ai.ancestor_flag_args] for text in argument.option_strings}
    return sorted(text for text in own - everywhere if text.startswith("--") and not text.startswith("---"))


if sys.argv[1] == "flags":
    print(json.dumps({line: flags(line) for line in sys.stdin.read().splitlines()}))
else:
    for line in sys.stdin.read().splitlines():
        words = json.loads(line)
        try:
            cli._CLI__parser.parse_args(words[1:])
        except SystemExit:
            print(line)
