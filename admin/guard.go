package admin

import (
	"context"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// byUnix marks, in a request's context, that it comes by a Unix socket: whoever can open that may do everything.
type byUnix struct{}

// connected is http.Server.ConnContext.
func connected(ctx context.Context, conn net.Conn) context.Context {
	if _, ok := conn.(*net.UnixConn); ok {
		return context.WithValue(ctx, byUnix{}, true)
	}
	return ctx
}

func isUnix(r *http.Request) bool { return r.Context().Value(byUnix{}) != nil }

// here refuses requests for another host. A page of a stranger's can have its name point to this machine, and its browser then lets it read what is
// answered; but it cannot ask for another name than its own (DNS rebinding).
func (h *handler) here(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		if !isUnix(r) && !h.isHost(r.Host) {
			fail(w, http.StatusMisdirectedRequest, "this is not the host "+clip(r.Host)+"; use an address, or allow the name with --admin-host")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isHost reports whether a Host header names this server: with an address, or a name that nobody else can have.
func (h *handler) isHost(host string) bool {
	name := host
	if n, _, err := net.SplitHostPort(host); err == nil {
		name = n
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return name == "localhost" || slices.ContainsFunc(h.Hosts, func(h string) bool { return strings.EqualFold(h, name) })
}

// clip keeps what a stranger sent short, and on one line.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 100)]
}

// guarded asks for the token if everything is to be guarded.
func (h *handler) guarded(next http.Handler) http.Handler {
	if !h.Guarded {
		return next
	}
	return h.trusted(next)
}

// trusted asks for the token, but by a Unix socket.
func (h *handler) trusted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case isUnix(r), h.Token != "" && subtle.ConstantTimeCompare([]byte(given), []byte(h.Token)) == 1:
			next.ServeHTTP(w, r)
		case h.Token == "":
			fail(w, http.StatusForbidden, "this is done by a Unix socket only: --admin unix:///path")
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="blubbel-server"`)
			fail(w, http.StatusUnauthorized, "this needs the token: Authorization: Bearer TOKEN, with what the file admin-token in the state folder has")
		}
	})
}
