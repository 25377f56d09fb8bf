#!/bin/sh
# Prints the emergency script, as `bartizan emergency-script` does, from its parts: where the program is not built.
#
#   sh scripts/emergency-script.sh | sudo sh
set -eu
cd "$(dirname "$0")/../config/expire"
cat emergency-head.sh process.sh freeze.sh account.sh container.sh file.sh undo.sh emergency.sh
