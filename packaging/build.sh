#!/usr/bin/env bash
# Builds a Debian package of this working copy into bin/. Whoever builds the same commit with the same Go gets the same bytes.
# GOARCH=arm64 packaging/build.sh builds for another machine.
set -euo pipefail
cd "$(dirname "$0")/.."

nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
stage=bin/package
ARCH=$(go env GOARCH)
export ARCH

main() {
  rm -rf "$stage"
  mkdir -p "$stage/bin" "$stage/native" "$stage/doc"
  programs "$ARCH" "$stage/bin"
  programs "$(go env GOHOSTARCH)" "$stage/native" # which run here; from Go's build cache, if it is the same
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
  VERSION=$(version)
  export SOURCE_DATE_EPOCH VERSION
  for program in blubbel-server blubbel blubbel-bench; do
    describe "$program"
  done
  licences | gzip -9n >"$stage/doc/notices.gz"
  changelog | gzip -9n >"$stage/doc/changelog.gz"
  go run "$nfpm" package --config packaging/nfpm.yaml --packager deb --target bin/
}

# programs builds them all without libc, so that they run on any Linux, and with the commit they were built from in them.
programs() {
  CGO_ENABLED=0 GOARCH=$1 go build -buildvcs=auto -trimpath -ldflags='-s -w' -o "$2/" ./cmd/...
}

# version is what the program says, as dpkg sorts it: what comes before a release stands behind a tilde.
version() {
  local text
  text=$("$stage/native/blubbel-server" --version)
  text=${text#* v}
  case $text in
    *devel*) echo "0.0.0~devel" ;; # Go finds no commit: there is none, or this is a second work tree of git's
    *) sed -E 's/-/~/; s/-/./g' <<<"$text" ;;
  esac
}

# describe writes the manual page, and what shells complete the command line with. The home is nobody's, for the page names a file there.
describe() {
  env -u XDG_CONFIG_HOME HOME='~' "$stage/native/$1" man | gzip -9n >"$stage/doc/$1.1.gz"
  for shell in bash zsh fish; do
    "$stage/native/$1" completion "$shell" >"$stage/doc/$1.$shell"
  done
}

# licences are those of everything that is linked, which ask to be passed on.
licences() {
  go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/... | sort -u |
    while read -r module version folder; do
      printf -- '--- %s %s\n\n' "$module" "$version"
      find "$folder" -maxdepth 1 \( -iname 'licen[cs]e*' -o -iname 'copying*' \) -exec find {} -type f \; | sort >"$stage/found"
      [ -s "$stage/found" ] || { echo "$module has no licence" >&2; exit 1; }
      xargs -d '\n' cat <"$stage/found"
      printf '\n\n'
    done
  printf -- '--- Go %s\n\n' "$(go env GOVERSION)"
  cat "$(go env GOROOT)/LICENSE"
}

changelog() {
  printf 'blubbel-server (%s) unstable; urgency=medium\n\n' "$VERSION"
  printf '  * What has changed is in NEWS.\n\n'
  printf ' -- The blubbel-server contributors <mdeiml@users.noreply.github.com>  %s\n' "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")"
}

main
