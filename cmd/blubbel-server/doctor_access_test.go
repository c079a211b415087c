package main

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

func TestWhoMayLogIn(t *testing.T) {
	says(t, checkOpen(supervisor.ProofRequired), "ok       logins: everybody may log in who proves that the key is theirs")
	says(t, checkOpen(supervisor.ProofSticky), "note     logins: everybody may log in, and with a key that never proved anybody who knows its public half; "+
		"if all clients can prove, as blubbel does, set --login-proof required; --allow-keys lets in only the keys on a list")
	one, other := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	for text, want := range map[string]string{
		one + " Alice\n" + other + "\n" + one: "ok       logins: 2 keys may log in, by list.txt, with proof",
		"# nobody yet\n":                      "wrong    logins: nobody may log in, as list.txt lists no key; write into it what blubbel id prints, one fingerprint on a line",
		one + "\n\nBob\n":                     `wrong    logins: list.txt, line 3: "Bob" is not a fingerprint; expected are 64 hexadecimal digits, as blubbel id prints them`,
	} {
		says(t, checkAllowed("list.txt", []byte(text), nil, frames.DefaultKeys()), want)
	}
	says(t, checkAllowed("list.txt", nil, &fs.PathError{Op: "open", Path: "list.txt", Err: fs.ErrPermission}, frames.DefaultKeys()),
		"wrong    logins: the list of --allow-keys cannot be read (open list.txt: permission denied); name another, or give it to the user that the relay runs as")
}

func TestWhatMattersIfOthersCanConnect(t *testing.T) {
	const (
		limits = "note     limits: those by rate and by address are off, and others can reach the relay: a few clients can keep it busy; " +
			"switch them on, unless what is in front of it limits them"
		shown = "note     admin: others can reach 0.0.0.0:9090, and the token is sent there unencrypted; " +
			"let them come through a proxy that speaks TLS, or give an address of this machine"
		level = "note     log: at the level LEVEL it has the addresses of clients; set --log-level info when you have seen what you look for"
	)
	here, everywhere := on(t, "127.0.0.1:8000", "unix:///run/relay"), on(t, "127.0.0.1:8000", "tls://:8443")
	for _, c := range []struct {
		options
		want []string
	}{
		{options{listening: everywhere, RateLimits: "on", LogLevel: "info"}, nil},
		{options{listening: here, RateLimits: "off", LogLevel: "warn", administration: administration{Admin: "127.0.0.1:9090"}}, nil},
		{options{listening: everywhere, RateLimits: "off", LogLevel: "info"}, []string{limits}},
		{options{listening: here, LogLevel: "info", administration: administration{Admin: "0.0.0.0:9090"}}, []string{shown}},
		{options{listening: here, LogLevel: "debug", administration: administration{Admin: "unix:///run/a"}}, []string{strings.Replace(level, "LEVEL", "debug", 1)}},
		{options{listening: everywhere, RateLimits: "off", LogLevel: "trace"}, []string{limits, strings.Replace(level, "LEVEL", "trace", 1)}},
	} {
		says(t, checkPublicity(&c.options), c.want...)
	}
}

// on listens on some addresses.
func on(t *testing.T, texts ...string) listening { return listening{Listen: addresses(t, texts...)} }
