# Words shared by the scripts in dev/. Sourced, never run; sets no options and changes no folder.
# shellcheck shell=bash

# The checkout, wherever the script was called from.
TIDEGATE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Everything that is fetched or built once and kept. A machine with several checkouts can share one
# by setting TIDEGATE_CACHE.
TIDEGATE_CACHE=$(readlink -m "${TIDEGATE_CACHE:-$TIDEGATE_ROOT/.cache}")
export TIDEGATE_ROOT TIDEGATE_CACHE

# Progress goes to stderr: stdout belongs to what a caller may want to read.
say() { printf '%s: %s\n' "${PROGRAM:-dev}" "$*" >&2; }

# die CODE MESSAGE: the codes are 2 wrong usage, 3 something is missing here, 1 it was tried and failed.
die() {
  local code=$1
  shift
  say "error: $*"
  exit "$code"
}

have() { command -v "$1" >/dev/null 2>&1; }

# The oldest Java that the broker's jars run on.
# shellcheck disable=SC2034 # read by the scripts that source this
JAVA_MIN=17

# Where java is: JAVA_HOME is the user's word, so it wins over PATH.
java_program() {
  if [[ -n ${JAVA_HOME:-} && -x $JAVA_HOME/bin/java ]]; then
    printf '%s\n' "$JAVA_HOME/bin/java"
  else
    command -v java
  fi
}

# Prints the major version of that java ("17"), or 0 if there is none that runs.
java_major() {
  local java version
  java=$(java_program) || { echo 0; return; }
  version=$("$java" -version 2>&1 | sed -nE '1s/.*"([0-9]+)(\.([0-9]+))?.*/\1 \3/p')
  # Java 8 and older called themselves 1.8.
  case $version in
    '') echo 0 ;;
    '1 '*) echo "${version#1 }" ;;
    *) echo "${version%% *}" ;;
  esac
}

# gone PID: true if the process has ended. A zombie has, its parent just has not looked yet (some
# containers' first process looks late); one with threads left has not: it may still hold ports.
gone() {
  ! awk '/^State:/ { zombie = $2 ~ /[ZX]/ } /^Threads:/ { alive = !zombie || $2 > 1 } END { exit !alive }' \
    "/proc/$1/status" 2>/dev/null
}

# wait_gone PID SECONDS: false if it still runs then.
wait_gone() {
  local tries=$(($2 * 10))
  until gone "$1"; do
    ((tries-- > 0)) || return 1
    sleep 0.1
  done
}
