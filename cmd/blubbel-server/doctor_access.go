package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// access looks at who may log in.
func (e *examination) access(context.Context) []finding {
	if e.AllowKeys == "" {
		return checkOpen(e.LoginProof)
	}
	text, err := os.ReadFile(e.AllowKeys)
	return checkAllowed(e.AllowKeys, text, err, frames.Keys{MinBits: e.MinKeyBits, MaxBits: e.MaxKeyBits, SeedRaw: e.SeedRawKeys})
}

const ofLogins = "logins"

func checkOpen(policy supervisor.ProofPolicy) []finding {
	if policy == supervisor.ProofRequired {
		return []finding{{isOK, ofLogins, "everybody may log in who proves that the key is theirs", ""}}
	}
	return []finding{{
		isNote, ofLogins, "everybody may log in, and with a key that never proved anybody who knows its public half",
		"if all clients can prove, as blubbel does, set --login-proof required; --allow-keys lets in only the keys on a list",
	}}
}

func checkAllowed(file string, text []byte, err error, keys frames.Keys) []finding {
	if err != nil {
		return []finding{{isWrong, ofLogins, fmt.Sprintf("the list of --allow-keys cannot be read (%v)", err), "name another, or give it to the user that the relay runs as"}}
	}
	list, line, err := parseAllowed(text, keys)
	switch {
	case err != nil:
		return []finding{fault(ofLogins, fmt.Errorf("%s, line %d: %w", file, line, err))}
	case len(list) == 0:
		return []finding{{isWrong, ofLogins, "nobody may log in, as " + file + " lists no key", "write into it what blubbel id prints, one fingerprint on a line"}}
	}
	return []finding{{isOK, ofLogins, fmt.Sprintf("%d keys may log in, by %s, with proof", len(list), file), ""}}
}

// publicity looks at settings that are not as one may think when others can reach the relay.
func (e *examination) publicity(context.Context) []finding { return checkPublicity(&e.options) }

func checkPublicity(o *options) (found []finding) {
	public := slices.ContainsFunc(o.Listen, func(a address) bool { return a.scheme != "unix" && !onThisMachine(a.hostPort()) })
	if o.RateLimits == "off" && public {
		found = append(found, finding{
			isNote, "limits", "those by rate and by address are off, and others can reach the relay: a few clients can keep it busy",
			"switch them on, unless what is in front of it limits them",
		})
	}
	if o.Admin != "" && !o.Admin.private() {
		found = append(found, finding{
			isNote, "admin", fmt.Sprintf("others can reach %s, and the token is sent there unencrypted", o.Admin),
			"let them come through a proxy that speaks TLS, or give an address of this machine",
		})
	}
	if o.level() >= logrus.DebugLevel {
		found = append(found, finding{isNote, "log", fmt.Sprintf("at the level %s it has the addresses of clients", o.LogLevel), "set --log-level info when you have seen what you look for"})
	}
	return found
}
