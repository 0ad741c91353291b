#!/bin/sh
# SecureIoTGateway {{version}}, commit {{commit}}, for Linux on {{machine}}.
#
# What follows this text is Deno, as its makers publish it, and the program. The first start unpacks
# both into a folder of the user's cache and checks every byte; later starts check owner, mode and
# size there. It needs sh, ls, id, uname, tail, head, gzip, tar and sha256sum, as busybox has them.
#
# SECURE_IOT_GATEWAY_CACHE     the cache folder, instead of ~/.cache/secure-iot-gateway
# SECURE_IOT_GATEWAY_EMULATOR  a program that runs Deno if this machine's processor cannot
set -eu

fail() {
  echo "error: $1" >&2
  [ -z "${2-}" ] || echo "hint: $2" >&2
  exit 1
}

# Mode, owner and size of each; a folder's size says nothing.
look() {
  LC_ALL=C ls -ldn "$@" 2>/dev/null | while read -r mode _ owner _ size _; do
    case $mode in d*) size=- ;; esac
    echo "${mode%[.+]} $owner $size"
  done
}

# Only root and this user can put something else in the place of what is there, or of a folder or
# link on the way to it.
trusted() {
  way=$1
  set -- /
  while [ -n "${way%/}" ]; do
    set -- "$way" "$@"
    way=${way%/*}
  done
  look "$@" | {
    while read -r mode owner _; do
      case "$mode $owner" in
        d????-??-?" $uid" | d????-??-?" 0") ;;
        d????????[tT]" $uid" | d????????[tT]" 0") ;;
        l?????????" $uid" | l?????????" 0") ;;
        *) exit 1 ;;
      esac
      shift
    done
    [ $# -eq 0 ]
  }
}

# Looks at the way to the folder as it is named, then as it is. From here on the folder has that
# name, which leads through no link.
safe() {
  trusted "$cache" && real=$(CDPATH='' cd -P -- "$cache" 2>/dev/null && pwd -P) &&
    trusted "$real" || return 1
  case $(look "$real") in
    drwx?-??-?" $uid -" | drwx?-??-?" 0 -") ;;
    *) return 1 ;;
  esac
  cache=$real
  home=$cache/{{name}}
}

distrust() {
  fail "Cannot trust the cache folder \"$cache\": it or a folder on the way to it is another user's, or others may write to it" "$elsewhere"
}

intact() {
  [ "$(look "$home" "$home/deno" "$home/main.js")" = "drwx------ $uid -
-r-x------ $uid {{deno_bytes}}
-r-------- $uid {{program_bytes}}" ]
}

# Bytes of this file: how many to leave out, how many to take.
cut_out() { tail -c "+$(($1 + 1))" "$self" | head -c "$2" | gzip -dc; }

move_in() { mv "$new/{{name}}" "$cache/" 2>/dev/null; }

unpack() (
  umask 077
  way=$cache
  until [ -e "${way:-/}" ] || [ -L "$way" ]; do way=${way%/*}; done
  trusted "$way" || distrust
  mkdir -p "$cache" 2>/dev/null || fail "Cannot make the cache folder \"$cache\"" "$elsewhere"
  safe || distrust
  # What an unpacking that was killed has left behind.
  for old in "$cache"/unpacking.*; do
    kill -0 "${old##*.}" 2>/dev/null || rm -rf "$old"
  done
  new=$cache/unpacking.$$
  trap 'rm -rf "$new"' EXIT
  trap 'exit 1' HUP INT TERM
  mkdir -p "$new/{{name}}" 2>/dev/null || fail "Cannot write to the cache folder \"$cache\"" "$elsewhere"
  cut_out {{head_bytes}} {{archive_bytes}} | tar -xOf - package/deno >"$new/{{name}}/deno" &&
    cut_out $(({{head_bytes}} + {{archive_bytes}})) {{packed_bytes}} >"$new/{{name}}/main.js" ||
    fail "Cannot unpack \"$self\" into \"$cache\"" "Is it whole, and is there room for 100 MB? $elsewhere"
  (cd "$new/{{name}}" && sha256sum -c - >/dev/null 2>&1) <<SUMS ||
{{deno_sha256}}  deno
{{program_sha256}}  main.js
SUMS
    fail "\"$self\" is damaged: what it unpacks to is not what was packed" "Copy it again, and compare it with SHA256SUMS"
  chmod 500 "$new/{{name}}/deno"
  chmod 400 "$new/{{name}}/main.js"
  $emulator "$new/{{name}}/deno" --version >/dev/null 2>&1 ||
    fail "Cannot run Deno from \"$cache\"" "The system needs glibc 2.27 or newer, and the folder must not be mounted noexec; $elsewhere"
  # The folder is moved only if none is there; if another start was quicker, its bytes are the same.
  move_in || intact || {
    mv "$home" "$new/replaced" && move_in || intact || fail "Cannot replace \"$home\""
  }
)

elsewhere="Another folder can be named with SECURE_IOT_GATEWAY_CACHE"
emulator=${SECURE_IOT_GATEWAY_EMULATOR-}
case $0 in
  /*) self=$0 ;;
  *) self=$PWD/$0 ;;
esac
if [ -n "${SECURE_IOT_GATEWAY_CACHE-}" ]; then
  cache=$SECURE_IOT_GATEWAY_CACHE
elif [ -n "${XDG_CACHE_HOME-}" ]; then
  cache=$XDG_CACHE_HOME/secure-iot-gateway
elif [ -n "${HOME-}" ]; then
  cache=$HOME/.cache/secure-iot-gateway
else
  fail "There is no home folder to unpack into" "Name a folder with SECURE_IOT_GATEWAY_CACHE"
fi
case $cache in
  /*) ;;
  *) cache=$PWD/$cache ;;
esac
[ -n "$emulator" ] || [ "$(uname -m)" = {{machine}} ] ||
  fail "This file is for {{machine}}, this machine is $(uname -m)"
uid=$(id -u)
home=$cache/{{name}}
unpacked=
safe && intact || {
  unpack
  safe && intact || distrust
  unpacked=now
}

# No proxy but the one in the settings, and no copy of the keys of TLS connections.
unset HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy SSLKEYLOGFILE

# The program starts itself again by this path, and Deno keeps its compiled code beside it.
export SECURE_IOT_GATEWAY_PROGRAM="$self"
export DENO_DIR="$home/compiled" DENO_NO_UPDATE_CHECK=1 {{environment}}
# A process of its own compiles: what that takes, 30 MiB, a gateway would keep until it ends.
[ -z "$unpacked" ] || $emulator "$home/deno" run {{flags}} "$home/main.js" --version </dev/null >/dev/null 2>&1 || :
case ${1-} in
  {{subprocess_commands}}) exec $emulator "$home/deno" run {{subprocess_flags}} "$home/main.js" "$@" ;;
  {{operator_commands}}) exec $emulator "$home/deno" run {{operator_flags}} "$home/main.js" "$@" ;;
  *) exec $emulator "$home/deno" run {{flags}} "$home/main.js" "$@" ;;
esac
