package listener_test

import (
	"strings"
	"testing"

	"github.com/mdeiml/blubbel-server/listener"
)

// networks reads a list.
func networks(t testing.TB, text string) (list listener.Networks) {
	t.Helper()
	for one := range strings.FieldsSeq(text) {
		var n listener.Network
		if err := n.UnmarshalText([]byte(one)); err != nil {
			t.Fatal(err)
		}
		list = append(list, n)
	}
	return list
}

func TestNetworksAreRead(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1":     "192.0.2.1/32",
		"192.0.2.77/24": "192.0.2.0/24",
		"0.0.0.0/0":     "0.0.0.0/0",
		"2001:db8::1":   "2001:db8::1/128",
		"2001:db8::/32": "2001:db8::/32",
		"unix":          "unix",
	} {
		if got := networks(t, text)[0].String(); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "proxy.test", "192.0.2.1/33", "192.0.2.0-9", "::ffff:192.0.2.0/120", "fe80::1%eth0", "Unix"} {
		var n listener.Network
		if err := n.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), "give an address such as") {
			t.Errorf("%q is %v, %v", text, n, err)
		}
	}
}
