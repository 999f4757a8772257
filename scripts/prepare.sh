# shellcheck shell=bash
# Sourced by the scripts beside it: brings a fresh checkout to the point where it can run. Everything it and the
# tools say goes to stderr; stdout belongs to the gateway and the tests.

checkout=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

# As "engines" in package.json says.
needed_node=20.19

# -h and --help show the comment that a script begins with.
help_if_asked() {
  case "${1:-}" in -h | --help) ;; *) return 0 ;; esac
  sed -n '2,${/^#/!q; s/^# \{0,1\}//p}' "$0"
  exit 0
}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

check_node() {
  if ! command -v node >/dev/null; then
    say "Node.js is not installed; Larder needs version $needed_node or newer: https://nodejs.org"
    return 1
  fi
  if ! node -e '
    const [here, needed] = process.argv.slice(1).map(version => version.split(".").map(Number))
    process.exit(here[0] > needed[0] || (here[0] === needed[0] && here[1] >= needed[1]) ? 0 : 1)
  ' "$(node -p process.versions.node)" "$needed_node"; then
    say "Larder needs Node.js $needed_node or newer; this is $(node --version): https://nodejs.org"
    return 1
  fi
}

# npm writes node_modules/.package-lock.json last, so that file is as old as the installation.
install_packages() {
  local installed=$checkout/node_modules/.package-lock.json
  # Somebody else's: npm would empty it.
  [ -L "$checkout/node_modules" ] && return 0
  [ -f "$installed" ] && [ ! "$checkout/package-lock.json" -nt "$installed" ] && return 0
  if ! command -v npm >/dev/null; then
    say 'npm is not installed; it comes with Node.js: https://nodejs.org'
    return 1
  fi
  say 'installing packages (once)'
  (cd "$checkout" && npm ci --include=dev --include=optional --no-audit --no-fund --no-update-notifier --loglevel=error >&2)
}

build_if_stale() {
  local built=$checkout/dist/larder.js
  if [ -f "$built" ] && [ -f "$checkout/dist/index.js" ]; then
    local newer
    newer=$(cd "$checkout" && find src device package.json package-lock.json scripts/build.mjs scripts/build-page.mjs -newer "$built" -print -quit)
    [ -z "$newer" ] && return 0
  fi
  say 'building'
  (cd "$checkout" && node scripts/build.mjs >&2)
}

# Bytes must not depend on who packs: the date is that of the last commit.
set_epoch() {
  if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null) || {
      say 'this is no git checkout: set SOURCE_DATE_EPOCH to the seconds since 1970 that the files are to bear'
      return 1
    }
  fi
  export SOURCE_DATE_EPOCH
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -qq --no-install-recommends "$@" >/dev/null 2>&1 && return
  # The lists of packages may be absent or old.
  apt-get update -qq >&2 && apt-get install -qq --no-install-recommends "$@" >/dev/null
}

# Debian starts a server when it is installed; the tests start their own, and port 1883 is to stay free.
without_services() {
  local policy=/usr/sbin/policy-rc.d ours=
  if [ ! -e "$policy" ]; then
    ours=yes
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
  fi
  "$@"
  if [ -n "$ours" ]; then
    rm -f "$policy"
    trap - EXIT
  fi
}
