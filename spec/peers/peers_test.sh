#!/bin/bash
# Other people's clients against `pumpsh serve`. Fetches them by npm into the build's folder, once.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../cmake/setup.sh" || exit
folder=$PUMP_BUILD/peers

skip() {
  echo "1..0 # SKIP $*"
  exit 0
}

# npm's settings and cache are in the home of whoever runs this, not in the one that specs have.
fetch() {
  mkdir -p "$folder" && cp "$here/package.json" "$folder" || return
  HOME=$(getent passwd "$(id -u)" | cut -d: -f6) npm install --prefix "$folder" --no-audit \
    --no-fund --no-package-lock --ignore-scripts --loglevel=error >"$folder/npm.log" 2>&1 &&
    cp "$here/package.json" "$folder/fetched.json"
}

command -v node >/dev/null && command -v npm >/dev/null ||
  skip "Node.js and npm are not here; in Debian: $(cd "$here/../.." && packages_of peers | xargs)"
if ! cmp -s "$here/package.json" "$folder/fetched.json" && ! fetch; then
  cat "$folder/npm.log" >&2
  skip "npm could not fetch the clients: $(grep -m 1 . "$folder/npm.log")"
fi
NODE_PATH=$folder/node_modules exec node "$here/run.js" "$PUMP_BUILD/pumpsh"
