#!/usr/bin/env bash
# Checks the alerts, the example configuration and the dashboard against a relay and a Prometheus that it starts for some seconds. It needs
# Debian's package prometheus, curl, python3 and Go.
set -euo pipefail
cd "$(dirname "$0")"

dashboard=../grafana/blubbel.json
pids=()

main() {
  needed prometheus promtool curl python3 go
  promtool check config prometheus.yml # and the alerts, which it names
  promtool test rules alerts_test.yml
  start_relay
  start_prometheus
  load
  curl -fsS "http://$admin/metrics" >"$tmp/metrics"
  promtool check metrics <"$tmp/metrics"
  within 20 asked
  cat "$tmp/asked"
}

needed() {
  local missing=()
  for program; do
    command -v "$program" >/dev/null || missing+=("$program")
  done
  ((${#missing[@]} == 0)) || { echo "missing: ${missing[*]} (prometheus and promtool are in Debian's package prometheus)" && return 1; }
}

# start_relay starts one that is soon full.
start_relay() {
  (cd ../.. && go build -o "$tmp/" ./cmd/...)
  "$tmp/blubbel-server" --listen 127.0.0.1:0 --admin 127.0.0.1:0 --connections 20 --anonymous-per-address off \
    --state "$tmp/state" --log-format json 2>"$tmp/log" &
  pids+=($!)
  within 10 grep -qs '"msg":"relay ready"' "$tmp/log"
  relay=$(sed -nE '/"msg":"relay ready"/ s/.*"listen":"([^",]+).*/\1/p' "$tmp/log")
  admin=$(sed -nE 's|.*"admin":"http://([^",]+).*|\1|p' "$tmp/log")
}

# start_prometheus starts it with the example, but with the relay of ours, whose metrics it gets often.
start_prometheus() {
  cp alerts.yml "$tmp/"
  sed -E "s/127\.0\.0\.1:9470/$admin/; s/_interval: 15s/_interval: 500ms/" prometheus.yml >"$tmp/prometheus.yml"
  prometheus --config.file="$tmp/prometheus.yml" --storage.tsdb.path="$tmp/data" --web.listen-address=127.0.0.1:0 2>"$tmp/prometheus.log" &
  pids+=($!)
  within 20 grep -qs 'Server is ready' "$tmp/prometheus.log"
  prometheus=$(sed -nE 's/.*msg="Listening on" address=([^ ]+).*/\1/p' "$tmp/prometheus.log")
  within 20 scraped # it takes some seconds to begin
}

scraped() { curl -fsS "http://$prometheus/api/v1/query?query=blubbel_stopping" | grep -q '"value"'; }

# load has something happen of everything that is shown: also a session with nobody, a login with a key too small, and more connections than
# there may be. Each is done twice, for what was not there before has a rate only from the second time on.
load() {
  for name in alice bob; do
    "$tmp/blubbel" keygen --key "$tmp/$name.pem" 2>/dev/null
    "$tmp/blubbel" id --key "$tmp/$name.pem" >"$tmp/$name.pub" 2>/dev/null
  done
  for _ in 1 2; do
    "$tmp/blubbel-bench" pairs --relay "$relay" --pairs 2 --rate 500 --duration 1s
    refused 'nobody has this key' alice
    refused BAD_KEY "$tmp/blubbel-bench" idle --relay "$relay" --connections 1 --key-bits 1024
    refused 'the relay is full' "$tmp/blubbel-bench" idle --relay "$relay" --connections 30
  done
}
alice() { "$tmp/blubbel" chat --relay "$relay" --key "$tmp/alice.pem" --peer "$tmp/bob.pub" --wait 0 </dev/null; }

# refused runs a command that must fail, and say why.
refused() {
  local why=$1
  shift
  ! "$@" >"$tmp/refused" 2>&1 || { echo "was not refused: $*" && return 1; }
  grep -q "$why" "$tmp/refused" || { echo "not refused with $why: $*" && cat "$tmp/refused" && return 1; }
}

# asked puts all expressions to Prometheus. What is wrong is in $tmp/asked.
asked() { python3 ask.py "http://$prometheus" "$tmp/metrics" "$dashboard" >"$tmp/asked" 2>&1; }

# within repeats a command until it succeeds, for at most so many seconds.
within() {
  local seconds=$1 end=$((SECONDS + $1))
  shift
  until "$@"; do
    if ((SECONDS > end)); then
      echo "not within $seconds s: $*"
      return 1
    fi
    sleep 0.1
  done
}

finish() {
  code=$?
  set +e # whatever fails from here on, what was started is ended
  if ((code)); then
    [ ! -s "$tmp/asked" ] || cat "$tmp/asked"
    [ ! -s "$tmp/log" ] || tail -n 20 "$tmp/log" | sed 's/^/relay: /'
    [ ! -s "$tmp/prometheus.log" ] || grep -v level=info "$tmp/prometheus.log" | tail -n 20 | sed 's/^/prometheus: /'
    echo "check: FAILED"
  fi
  for pid in "${pids[@]}"; do
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
  done
  rm -rf "$tmp"
  exit "$code"
}

tmp=$(mktemp -d)
trap finish EXIT
trap 'exit 1' HUP INT TERM
main
