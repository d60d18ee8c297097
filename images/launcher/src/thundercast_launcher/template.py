"""What Dataflow runs in a Flex Template's image: the streaming pipeline's command line, told by options only."""

from __future__ import annotations

import sys

from thundercast_dataflow.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["streaming", "--sdk_location=container", "--no_save_main_session", *sys.argv[1:]]))
