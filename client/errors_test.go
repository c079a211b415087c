package client_test

import (
	"testing"

	"github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/frames"
)

func TestWhatARefusalSays(t *testing.T) {
	for _, c := range []struct {
		refused client.Refused
		says    string
	}{
		{
			client.Refused{Code: frames.NoSession, Request: frames.TypeMessage, Text: "whatever"},
			"the relay refused Message: NO_SESSION, there is no session with this user",
		},
		{
			client.Refused{Code: frames.Limit, Request: frames.TypeStart, Text: "whatever"},
			"the relay refused StartSession: LIMIT, you have too many sessions or pending requests",
		},
		{
			client.Refused{Code: frames.Limit, Text: "the relay is \x1b[31mfull"},
			`the relay closes the connection: LIMIT, "the relay is \x1b[31mfull"`,
		},
		{
			client.Refused{Code: frames.Limit, Request: frames.TypeLogin, Text: "too many"},
			`the relay refused Login: LIMIT, "too many"`,
		},
		{
			client.Refused{Code: frames.Limit, Request: frames.TypeProve, Text: "too many"},
			`the relay refused Prove: LIMIT, "too many"`,
		},
		{
			client.Refused{Code: frames.Unsupported, Text: "this port speaks TLS"},
			`the relay closes the connection: UNSUPPORTED, "this port speaks TLS"`,
		},
		{
			client.Refused{Code: 99, Request: frames.TypeStart, Text: "a later\ncode"},
			`the relay refused StartSession: CODE_99, "a later\ncode"`,
		},
	} {
		if got := c.refused.Error(); got != c.says {
			t.Errorf("says %s, want %s", got, c.says)
		}
	}
}
