#!/usr/bin/env bash
# Tries what is in this folder, on loopback, as far as the programs for it are installed. What it starts it ends.
#
#   packaging/check.sh                 # all of it
#   packaging/check.sh shells package  # single steps
set -euo pipefail
cd "$(dirname "$0")/.."

steps="systemd shells package image proxies prometheus"
most=15 # exposure of the unit, in tenths, as systemd-analyze security counts it

# installed reports whether programs are, and says so if one is not.
installed() {
  for program; do
    command -v "$program" >/dev/null || { echo "skipped: $program is not installed" && return 1; }
  done
}

# systemd has the units read by systemd itself, with our program where it is now.
systemd() {
  installed systemd-analyze || return 0
  sed "s#/usr/bin/blubbel-server#$tmp/blubbel-server#" packaging/systemd/blubbel-server.service >"$tmp/blubbel-server.service"
  cp packaging/systemd/blubbel-server.socket "$tmp/"
  systemd-analyze verify --man=no "$tmp/blubbel-server.service" "$tmp/blubbel-server.socket" 2>&1 | tee "$tmp/verified"
  [ ! -s "$tmp/verified" ] # what it only warns of is wrong, too
  systemd-analyze security --offline=true --no-pager --threshold="$most" "$tmp/blubbel-server.service" | tail -n 1
}

# shells has each shell complete a command line.
shells() {
  PATH=$tmp:$PATH
  bash -c 'source <(blubbel-server completion bash) && complete -p blubbel-server >/dev/null
    COMP_WORDS=(blubbel-server --log-level = in) COMP_CWORD=3; _blubbel_server; [ "${COMPREPLY[*]}" = info ]'
  echo "ok: bash"
  if installed fish; then
    fish --no-config -c 'blubbel-server completion fish | source; complete -C"blubbel-server ctl st"' | grep -q '^status	Print how it is'
    echo "ok: fish"
  fi
  if installed zsh; then # which completes at a terminal only; so this looks at what would be shown there
    zsh -fc 'compdef() {}; source <(blubbel-server completion zsh)
      _describe() { print -l $offers }; words=(blubbel-server ctl st) CURRENT=3; _blubbel_server' | grep -q '^status:Print how it is'
    echo "ok: zsh"
  fi
}

# package makes the Debian package, and looks into it.
package() {
  installed dpkg-deb || return 0
  packaging/build.sh >"$tmp/build.log" 2>&1 || { cat "$tmp/build.log" && return 1; }
  local deb root=$tmp/root
  deb=$(sed -n 's/^created package: //p' "$tmp/build.log")
  dpkg-deb -x "$deb" "$root"
  "$root/usr/bin/blubbel-server" config --config "$root/etc/blubbel-server/blubbel-server.yaml" >/dev/null
  "$root/usr/bin/blubbel" --version
  echo "ok: $deb, $(stat -c %s "$deb") bytes"
  if installed lintian; then
    lintian --fail-on error --allow-root "$deb"
    echo "ok: lintian"
  fi
  if installed man; then
    for page in "$root"/usr/share/man/man1/*; do
      [ -z "$(man --warnings -l "$page" 2>&1 >/dev/null)" ] || { echo "man(1) does not understand $page" && return 1; }
    done
    echo "ok: manual pages"
  fi
}

# image runs the program as the image has it: alone in its root, without privileges.
image() {
  installed chroot || return 0
  [ "$(id -u)" = 0 ] || { echo "skipped: only root can change its root" && return 0; }
  local root=$tmp/image
  mkdir -p "$root/usr/bin" "$root/var/lib/blubbel-server" "$root/run/blubbel-server"
  CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$root/usr/bin/" ./cmd/blubbel-server
  chown 65532:65532 "$root/var/lib/blubbel-server" "$root/run/blubbel-server"
  chmod 755 "$tmp" "$root"
  local inside=(chroot --userspec=65532:65532 --groups= "$root" /usr/bin/blubbel-server)
  export BLUBBEL_LISTEN=127.0.0.1:0 BLUBBEL_STATE=/var/lib/blubbel-server BLUBBEL_ADMIN=unix:///run/blubbel-server/admin.sock BLUBBEL_DRAIN_TIME=8s
  "${inside[@]}" 2>"$tmp/image.log" &
  pid=$!
  for _ in {1..100}; do
    ! grep -qs "relay ready" "$tmp/image.log" || break
    sleep 0.1
  done
  "${inside[@]}" ctl status >/dev/null || { cat "$tmp/image.log" && return 1; } # as its health is checked
  kill -TERM "$pid"
  wait "$pid" # fails with its exit code
  pid=
  unset "${!BLUBBEL_@}"
  echo "ok: $(stat -c %s "$root/usr/bin/blubbel-server") bytes, and nothing else"
}

proxies() { packaging/proxies.sh; }

prometheus() {
  ! installed prometheus promtool || packaging/prometheus/check.sh
}

finish() {
  code=$?
  [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
  rm -rf "$tmp"
  ((code == 0)) || echo "=== $step FAILED"
  exit "$code"
}

tmp=$(mktemp -d)
pid=
step=build
trap finish EXIT
trap 'exit 1' HUP INT TERM
go build -o "$tmp/" ./cmd/...

# shellcheck disable=SC2086 # the words of $steps are the steps
[ $# -gt 0 ] || set -- $steps
for step in "$@"; do
  [[ " $steps " == *" $step "* ]] || { echo "no step $step; there are: $steps"; exit 2; }
  printf '=== %s\n' "$step"
  "$step"
done
