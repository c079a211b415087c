#!/usr/bin/env bash
# Tries the configurations of nginx and HAProxy beside this file, on loopback, with the programs installed here: a client of each listener gets an answer
# through the proxy, the relay proves to it who it is, and knows where it comes from. What it starts it ends.
#
#   packaging/proxies.sh            # everything, or what is installed
set -euo pipefail
cd "$(dirname "$0")/.."

tmp=$(mktemp -d)
pids=()
finish() {
  code=$?
  for pid in "${pids[@]}"; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  ((code == 0)) || tail -n 20 "$tmp"/*.log
  rm -rf "$tmp"
  exit "$code"
}
trap finish EXIT

# within repeats a command until it succeeds, for at most ten seconds.
within() {
  local end=$((SECONDS + 10))
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || { echo "not within ten seconds: $*"; return 1; }
    sleep 0.1
  done
}

# here makes of a configuration one for this machine: other ports, a certificate made now, and no privileges.
here() {
  sed -e "s#/etc/letsencrypt/live/relay.example.org/fullchain.pem#$tmp/cert.pem#; s#/etc/letsencrypt/live/relay.example.org/privkey.pem#$tmp/key.pem#" \
    -e "s#/etc/haproxy/relay.pem#$tmp/both.pem#" \
    -e '/listen \[::\]/d' -e "s#listen 8443#listen 127.0.0.1:$tls#; s#listen 443#listen 127.0.0.1:$web#; s#:::8443 v4v6#127.0.0.1:$tls#; s#:::443 v4v6#127.0.0.1:$web#" \
    -e "s#127\.0\.0\.1:8000#127.0.0.1:18700#; s#127\.0\.0\.1:8080#127.0.0.1:18780#" "$1"
}

# relay starts one with these flags; its log tells where clients come from.
relay() {
  : >"$tmp/relay.log"
  "$tmp/blubbel-server" --state "$tmp/state" --log-level debug --anonymous-per-address 3 --listen tls://127.0.0.1:18700 --tls-self-signed --listen ws://127.0.0.1:18780/chat "$@" 2>"$tmp/relay.log" &
  pids+=($!)
  within grep -q "relay ready" "$tmp/relay.log"
  grep "relay ready" "$tmp/relay.log" >"$tmp/ready.log"
}

stop() { # the process started last
  kill "${pids[-1]}"
  wait "${pids[-1]}" 2>/dev/null || true
  unset 'pids[-1]'
}

# known asks through the proxy at an address, from 127.0.0.2, and looks whether the relay knows that.
known() {
  local what=$1 address=$2 id
  id=$(sed -nE 's#.*blubbels://([^@]+)@.*#\1#p' "$tmp/ready.log")
  case $address in
    tls:*) "$tmp/blubbel" ping --count 1 "blubbels://$id@${address#tls://}" ;;
    wss:*) "$tmp/blubbel" ping --count 1 --tls-ca "$tmp/cert.pem" "wss://$id@${address#wss://}" ;;
  esac >/dev/null
  : >"$tmp/relay.log"
  python3 - "$address" "$tmp/cert.pem" <<'PY'
import base64, os, socket, ssl, struct, sys, urllib.parse
url = urllib.parse.urlsplit(sys.argv[1])
plain = socket.create_connection((url.hostname, url.port), 5, source_address=("127.0.0.2", 0))
context = ssl.create_default_context(cafile=sys.argv[2])
context.check_hostname = False
if url.scheme == "tls":  # which is the relay's own, with a certificate that nobody has signed
    context.verify_mode = ssl.CERT_NONE
conn = context.wrap_socket(plain) if url.scheme in ("tls", "wss") else plain
conn.settimeout(5)
ping = b"\x7f" + struct.pack(">I", 0)  # a type there is not: answered by an Error
if url.scheme == "wss":
    key = base64.b64encode(os.urandom(16)).decode()
    conn.sendall((f"GET {url.path} HTTP/1.1\r\nHost: relay.example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode())
    head = b""
    while b"\r\n\r\n" not in head:
        more = conn.recv(1)
        if not more: sys.exit(f"no answer but {head!r}")
        head += more
    if not head.startswith(b"HTTP/1.1 101"): sys.exit(head.decode())
    ping = bytes([0x82, 0x80 | len(ping)]) + b"\0\0\0\0" + ping
conn.sendall(ping)
answer = conn.recv(64)
if b"\x05" not in answer[:3]: sys.exit(f"answered with {answer!r}")
PY
  within grep -q 'remote="*127\.0\.0\.2:' "$tmp/relay.log"
  echo "ok: $what: the relay proves who it is, and knows where the client comes from"
}

go build -o "$tmp/" ./cmd/blubbel-server ./cmd/blubbel
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=relay.example.org \
  -addext subjectAltName=DNS:relay.example.org,IP:127.0.0.1 -keyout "$tmp/key.pem" -out "$tmp/cert.pem" 2>/dev/null
cat "$tmp/cert.pem" "$tmp/key.pem" >"$tmp/both.pem"
tls=18743 web=18744
stream=/usr/lib/nginx/modules/ngx_stream_module.so # where Debian has it

if command -v nginx >/dev/null; then
  {
    echo "daemon off; pid $tmp/nginx.pid; error_log $tmp/nginx.log;"
    [ ! -e "$stream" ] || echo "load_module $stream;"
    echo "events { }"
    here packaging/nginx/stream.conf
    echo "http { access_log off; client_body_temp_path $tmp; proxy_temp_path $tmp; fastcgi_temp_path $tmp; uwsgi_temp_path $tmp; scgi_temp_path $tmp;"
    here packaging/nginx/http.conf
    echo "}"
  } >"$tmp/nginx.conf"
  for flag in proxy forwarded; do
    relay "--$flag-from" 127.0.0.1
    nginx -p "$tmp" -c "$tmp/nginx.conf" 2>>"$tmp/nginx.log" &
    pids+=($!)
    within grep -q . "$tmp/nginx.pid"
    case $flag in
      proxy) known "nginx, stream, PROXY protocol" "tls://127.0.0.1:$tls" ;;
      forwarded) known "nginx, http, X-Forwarded-For" "wss://127.0.0.1:$web/chat" ;;
    esac
    stop
    stop
  done
else
  echo "skipped: nginx is not installed"
fi

if command -v haproxy >/dev/null; then
  here packaging/haproxy/haproxy.cfg >"$tmp/haproxy.cfg"
  relay --proxy-from 127.0.0.1
  haproxy -db -f "$tmp/haproxy.cfg" >"$tmp/haproxy.log" 2>&1 &
  pids+=($!)
  within bash -c "exec 3<>/dev/tcp/127.0.0.1/$tls"
  known "HAProxy, tcp, PROXY protocol 2" "tls://127.0.0.1:$tls"
  known "HAProxy, http, PROXY protocol 2 and WebSocket" "wss://127.0.0.1:$web/chat"
  stop
  stop
else
  echo "skipped: HAProxy is not installed"
fi
