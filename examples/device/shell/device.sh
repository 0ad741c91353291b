#!/usr/bin/env bash
# A device in the shell, by hand: apt install mosquitto-clients openssl; bash device.sh devices/sensor_001
#
# One connection at a time, as two with one certificate would end each other: it publishes, then listens
# for one message; meanwhile the broker keeps what comes. Two things firmware does better: while openssl
# runs, the secret is in the list of processes; and mosquitto_sub acknowledges a command before it is kept.
set -uo pipefail
export LC_ALL=C
cd "$1" || exit 2
member() { sed -n 's/.*"'"$1"'": *"\{0,1\}\([^",}]*\).*/\1/p' device.json; }
id=$(member device_id) key=$(od -An -v -tx1 secret | tr -d ' \n') ahead=0 set_at=-60 due=0 wait=30
same=(-h "$(member host)" -p "$(member port)" -i "$(member client_id)" --cafile ca.crt --cert client.crt --key client.key)
same+=(-V mqttv5 -c -x 604800 -q 1) # for seven days the broker keeps commands for us
own=(-t "device/$id/command" -t "device/$id/receipt" -t "device/$id/response")

now() { echo $(($(date +%s) + ahead)); }
hmac() { openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -r | cut -c 1-64; }
sign() { printf %s "$@" | hmac; } # kind, device_id, timestamp, message_id, payload
# What outlives a power cut: `reading` that nobody has answered, and `command-ID`, our word on each.
keep() { printf %s "$2" > new && sync new && mv new "$1" && sync . || exit 1; }
# An id of ours ends in a code over its random part: a reading that is sent back as a command is known by it.
code() { printf "id:$(sed 's/../\\x&/g' <<< "$1")" | hmac | cut -c 1-12; }
new_id() {
  local hex; hex=$(tr -d - < /proc/sys/kernel/random/uuid) hex=${hex:0:20} && hex+=$(code "$hex")
  echo "${hex:0:8}-${hex:8:4}-${hex:12:4}-${hex:16:4}-${hex:20}"
}
publish() { # kind, topic, timestamp, message_id, payload
  mosquitto_pub "${same[@]}" -t "device/$id/$2" -m "{\"device_id\":\"$id\",\"timestamp\":$3,\"message_id\":\"$4\",$(
  )\"payload\":$5,\"signature\":\"$(sign "$1" "$id" "$3" "$4" "$5")\"}"
}
obey() { # timestamp, message_id, payload
  local apart=$(($(now) - $1)) hex=${2//-/}
  [ "${hex:20}" = "$(code "${hex:0:20}")" ] && return
  if [ ! -e "command-$2" ]; then # a copy is not done, but acknowledged again
    [ ${apart#-} -gt 300 ] && return
    keep "command-$2" '{"state":"received"}' # first: a restart in between does not do it twice
    printf 'command: %s\n' "$3"
    keep "command-$2" '{"state":"done"}'
  fi
  publish ack: ack "$(now)" "$2" "$(cat "command-$2")"
}
follow() { # timestamp, message_id, payload
  [ -e reading ] && [[ $(cat reading) == "$2 "* ]] || return
  case $3 in
    *'"result":"delivered"'* | *'"result":"dead"'* | *'"code":"replayed"'*) rm reading ;;
    *'"code":"timestamp_out_of_range"'*)
      ((SECONDS - set_at >= 60)) || return
      ahead=$(($1 - $(date +%s))) set_at=$SECONDS due=0 signed=0 ;; # at once, signed again
    *'"code":"rate_limited"'*) ;;
    *) due=$((SECONDS + 3600)) ;; # the secret or the firmware is wrong
  esac
}
form='^\{"timestamp":([0-9]{10}),"message_id":"([0-9a-f-]{36})","payload":(.*),"signature":"([0-9a-f]{64})"\}$'
take() { # topic, text
  [ "$1" = "device/$id/response" ] && { printf 'answer: %s\n' "$2"; return; }
  [[ $2 =~ $form ]] || return
  local parts=("${BASH_REMATCH[@]:1}") kind=
  [ "$1" = "device/$id/receipt" ] && kind=receipt:
  if [ "${parts[3]}" = "$(sign "$kind" "$id" "${parts[@]:0:3}")" ]; then
    [ -z "$kind" ] && { obey "${parts[@]:0:3}"; return; }
    printf 'receipt: %s\n' "${parts[2]}" # why a reading was refused, and our clock
    follow "${parts[@]:0:3}"
  elif [ -n "$kind" ]; then
    printf 'receipt, not signed with our secret: %s\n' "$2"
  fi
}
listen() {
  local arrived status line
  arrived=$(mosquitto_sub "${same[@]}" "${own[@]}" "$@" -F '%t %p') || status=$?
  while IFS= read -r line; do take "${line%% *}" "${line#* }"; done <<< "$arrived"
  return ${status:-0}
}

[ -e reading ] || keep reading "$(new_id) {\"temperature\":22.5,\"humidity\":60}"
signed=0
until listen -E; do sleep 1; done # before the first message: its receipt must find us
while :; do
  if [ -e reading ] && ((SECONDS >= due)); then
    read -r message_id payload < reading || true # the same bytes while they are in range; then signed again
    (($(now) - signed > 270)) && signed=$(now)
    publish '' data "$signed" "$message_id" "$payload"
    due=$((SECONDS + wait)) wait=$((wait * 2 > 900 ? 900 : wait * 2))
  fi
  listen -C 1 -W 10 2> errors || [ $? = 27 ] || { cat errors >&2; sleep 1; } # 27: nothing came
done
