#!/bin/sh
# check.sh [--prove KEY] HOST:PORT [FILE]: sends FILE through the relay at HOST:PORT, from one
# blubbel.py to another, and compares what arrived byte for byte. Prints one line; exits 0 if it is
# the same, 1 if not. Without FILE it makes a text of 3 MB. It takes 30 s at most.
#
# With --prove a hello.py logs in meanwhile with a proof of the private KEY, and stays for 7 s: a
# relay that pings every 2 s closes who does not answer sooner than that.

key= proven=
[ "$1" != --prove ] || { key=$2; shift $(($# < 2 ? $# : 2)); }
[ $# -ge 1 ] && [ $# -le 2 ] || { echo "usage: check.sh [--prove KEY] HOST:PORT [FILE]" >&2; exit 1; }
relay=$1
file=$2
client=$(dirname "$0")/blubbel.py
receiver= sender= prover= watchdog=
tmp=$(mktemp -d) || exit 1

cleanup() {
    trap '' HUP INT TERM ALRM
    # The watchdog goes first, so that it cannot speak up any more.
    for pid in $watchdog $sender $receiver $prover; do
        kill "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    rm -rf "$tmp"
}
fail() {
    echo "check: FAILED: $*"
    exit 1
}
trap cleanup EXIT
trap 'fail "interrupted"' HUP INT TERM
trap 'fail "not done after 28 s"' ALRM

# In steps, so that nothing that sleeps for long stays behind when this is ended.
(
    trap - EXIT HUP INT TERM ALRM
    i=0
    while [ $i -lt 280 ]; do sleep 0.1; i=$((i + 1)); done
    kill -ALRM $$
) </dev/null >/dev/null 2>&1 &
watchdog=$!

if [ -z "$file" ]; then
    file=$tmp/text
    python3 - "$file" <<'PYTHON' || fail "python3 could not make the text"
import sys
line = "Gr\u00fc\u00dfe aus K\u00f6ln, \u00c4pfel und \u00d6l \U0001f600\U0001f680"
lines = (f"{i} {line}" + "\n" * (i % 5 == 0) for i in range(61300))
with open(sys.argv[1], "wb") as file:
    file.write("\n".join(lines).encode() + b"\nno newline at the end")
PYTHON
fi
case $file in -*) file=./$file ;; esac
[ -r "$file" ] || fail "cannot read $file"

if [ -n "$key" ]; then
    python3 "$(dirname "$0")/hello.py" --relay "$relay" --prove "$key" --stay 7 \
        </dev/null >"$tmp/hello.out" 2>"$tmp/hello.err" &
    prover=$!
fi

python3 "$client" receive --relay "$relay" --key-out "$tmp/bob.der" \
    </dev/null >"$tmp/out" 2>"$tmp/receive.err" &
receiver=$!
while [ ! -e "$tmp/bob.der" ]; do
    if [ -s "$tmp/receive.err" ]; then # it writes there only when it fails
        wait "$receiver"
        receiver=
        fail "receiver: $(tail -n 1 "$tmp/receive.err")"
    fi
    sleep 0.05
done

python3 "$client" send --relay "$relay" --peer "$tmp/bob.der" "$file" \
    </dev/null 2>"$tmp/send.err" &
sender=$!
wait "$sender"
status=$?
sender=
[ $status -eq 0 ] || fail "sender: $(tail -n 1 "$tmp/send.err")"
wait "$receiver"
status=$?
receiver=
[ $status -eq 0 ] || fail "receiver: $(tail -n 1 "$tmp/receive.err")"
cmp -s "$file" "$tmp/out" || fail "what arrived differs from $file"
if [ -n "$prover" ]; then
    wait "$prover"
    status=$?
    prover=
    [ $status -eq 0 ] || fail "$(tail -n 1 "$tmp/hello.err")"
    proven="; proven, $(tail -n 1 "$tmp/hello.out")"
fi
echo "check: ok, $(tail -n 1 "$tmp/send.err"), compared$proven"
