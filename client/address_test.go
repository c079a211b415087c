package client

import (
	"strings"
	"testing"

	"github.com/mdeiml/blubbel-server/frames"
)

func TestAddressesAreReadInAllTheirForms(t *testing.T) {
	id := frames.RelayID{1, 2, 0xff}
	for s, want := range map[string]Address{
		"127.0.0.1:8000":                            {HostPort: "127.0.0.1:8000"},
		"relay.example:8000":                        {HostPort: "relay.example:8000"},
		"[::1]:8000":                                {HostPort: "[::1]:8000"},
		"tcp://relay.example:8000":                  {HostPort: "relay.example:8000"},
		"tls://relay.example:8443":                  {HostPort: "relay.example:8443", TLS: true},
		"TLS://relay.example:8443":                  {HostPort: "relay.example:8443", TLS: true},
		"blubbel://" + id.String() + "@[::1]:1":     {HostPort: "[::1]:1", Pinned: true, ID: id},
		"blubbels://" + id.String() + "@host:65535": {HostPort: "host:65535", Pinned: true, ID: id, TLS: true},
		"ws://relay.example:8000":                   {HostPort: "relay.example:8000", WebSocket: true, Path: "/"},
		"ws://relay.example":                        {HostPort: "relay.example:80", WebSocket: true, Path: "/"},
		"ws://[::1]/a/b":                            {HostPort: "[::1]:80", WebSocket: true, Path: "/a/b"},
		"ws://" + id.String() + "@[::1]:1/":         {HostPort: "[::1]:1", WebSocket: true, Path: "/", Pinned: true, ID: id},
		"wss://relay.example/a%20b":                 {HostPort: "relay.example:443", WebSocket: true, Path: "/a%20b", TLS: true},
		"WSS://" + id.String() + "@host:8443/chat":  {HostPort: "host:8443", WebSocket: true, Path: "/chat", Pinned: true, ID: id, TLS: true},
	} {
		got, err := ParseAddress(s)
		if err != nil || got != want {
			t.Errorf("%s is %+v, %v", s, got, err)
		}
		if again, err := ParseAddress(got.String()); err != nil || again != want {
			t.Errorf("%s is written as %s, which is %+v, %v", s, got, again, err)
		}
	}
}

func TestWhatIsNoAddressIsToldClearly(t *testing.T) {
	id := frames.RelayID{1, 2, 0xff}.String()
	for s, says := range map[string]string{
		"":                                  "the port is missing",
		"nowhere":                           "the port is missing",
		"host:":                             "the port is a number",
		"host:http":                         "the port is a number",
		"host:0":                            "the port is a number",
		"host:65536":                        "the port is a number",
		":8000":                             "the host is missing",
		"::1:8000":                          "in brackets",
		"[::1]":                             "the port is missing",
		"tls://":                            "the port is missing",
		"tls://host":                        "the port is missing",
		"tls://host:1/":                     "nothing stands behind the port",
		"host:1/path":                       "nothing stands behind the port",
		"http://host:1":                     "http:// is no address of a relay",
		"wsss://host:1":                     "begins with tcp://, tls://, blubbel://, blubbels://, ws:// or wss://",
		"ws://":                             "the host is missing",
		"ws:///path":                        "the host is missing",
		"ws://::1/path":                     "in brackets",
		"ws://host:/path":                   "the port is a number",
		"ws://host:0/path":                  "the port is a number",
		"ws://host/path?x=1":                "something stands behind",
		"ws://host/path?":                   "something stands behind",
		"ws://host/path#x":                  "something stands behind",
		"ws://host/100%":                    "the path cannot be read",
		"wss://user@host/":                  "43 characters, and this one 4",
		id + "@host:1":                      "begins with blubbels://",
		"tls://" + id + "@host:1":           "tls:// takes no id",
		"tcp://user@host:1":                 "tcp:// takes no id",
		"blubbel://host:1":                  "the relay's id is missing: blubbel://ID@host:port",
		"blubbels://@host:1":                "43 characters, and this one 0",
		"blubbels://" + id[:40] + "@host:1": "43 characters, and this one 40: perhaps it was cut off",
		"blubbels://" + id + "A@host:1":     "43 characters, and this one 44",
		"blubbels://" + id[:42] + "=@h:1":   "letters, digits",
		"blubbels://" + id[:42] + "B@h:1":   "perhaps a letter is mistyped", // bits behind the end
		"blubbel://" + id + "@host":         "the port is missing",
		"blubbel://" + id + "@":             "the port is missing",
	} {
		a, err := ParseAddress(s)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is %+v; it says %v, not %q", s, a, err, says)
		}
	}
}
