package main

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/admin"
)

func TestWhereTheRelayIsShown(t *testing.T) {
	status := func(change func(*admin.Status)) *admin.Status {
		s := &admin.Status{
			About: admin.About{Version: "v1", Relay: "us", Started: noon}, Now: noon.Add(90 * time.Minute),
			Connections: []admin.Connections{{Transport: "tcp", State: "online", Count: 3}},
		}
		change(s)
		return s
	}
	fine := status(func(*admin.Status) {})
	const at = "127.0.0.1:9090"
	for _, c := range []struct {
		showing
		want string
		ours bool
	}{
		{showing{running: true}, "note     admin: the relay is shown nowhere, so it cannot be asked; set --admin unix:///run/blubbel/admin.sock, say, and restart it", false},
		{showing{at: "127.0.0.1:0", running: true}, "note     admin: a free port is taken at each start, so the relay cannot be asked there; give one that stays", false},
		{showing{at: at}, "ok       admin: the relay can be shown at 127.0.0.1:9090", false},
		{showing{at: at, bind: errors.New("no")}, "wrong    admin: the relay cannot be shown at 127.0.0.1:9090 (no); choose another with --admin, or see to what is in the way", false},
		{
			showing{at: "unix:///run/x/a", bind: fs.ErrNotExist},
			"warning  admin: the folder of unix:///run/x/a is not there (file does not exist); make it, unless what starts the relay does, as RuntimeDirectory= in a unit of systemd", false,
		},
		{showing{at: at, running: true, err: errors.New("no")}, "warning  admin: the relay runs, and cannot be asked (no); perhaps it was started with other settings: restart it", false},
		{showing{at: at, err: errors.New("no")}, "note     admin: if the relay runs, it cannot be asked (no)", false},
		{showing{at: at, status: fine}, "ok       admin: the relay, of version v1, has been ready for 1h30m0s; connections: 3 (tcp online 3)", true},
		{showing{at: at, status: fine, relay: "us"}, "ok       admin: the relay, of version v1, has been ready for 1h30m0s; connections: 3 (tcp online 3)", true},
		{showing{at: at, status: fine, relay: "others"}, "wrong    admin: another relay is shown at 127.0.0.1:9090, which is us; stop it, or choose another with --admin", false},
		{
			showing{at: at, status: status(func(s *admin.Status) { s.Stopping = true })},
			"warning  admin: the relay is stopping; start it again when it has ended, if it is to run", true,
		},
		{
			showing{at: at, status: status(func(s *admin.Status) { s.Version = "v0" })},
			"warning  admin: the relay that has been running for 1h30m0s is of version v0, and this program of version v1; restart it for this version", true,
		},
	} {
		c.version = "v1"
		found, ours := checkShown(c.showing)
		says(t, found, c.want)
		if ours != c.ours {
			t.Errorf("%s: it is ours: %v", c.want, ours)
		}
	}
	found, _ := checkShown(showing{})
	says(t, found)
}

func TestSpreads(t *testing.T) {
	const (
		set   = "; if a proxy is in front of the relay, have it say for whom it asks, and set --proxy-from, or --forwarded-from if it speaks HTTP"
		hold  = ", so that limits by address may hold for all of them together"
		other = "; look whether that is another proxy than --proxy-from and --forwarded-from name"
		few   = ", too few to see whether a proxy hides where clients come from"
	)
	for _, c := range []struct {
		admin.Spread
		limited, proxied bool
		want             string
	}{
		{admin.Spread{}, true, false, "ok       addresses: connections: 0" + few},
		{admin.Spread{Connections: 19, Addresses: 1, Most: 19, Private: 19}, true, false, "ok       addresses: connections: 19" + few},
		{admin.Spread{Connections: 20, Addresses: 1, Most: 20}, true, false, "warning  addresses: 20 of 20 connections come from one address" + hold + set},
		{admin.Spread{Connections: 20, Addresses: 1, Most: 20}, true, true, "warning  addresses: 20 of 20 connections come from one address" + hold + other},
		{admin.Spread{Connections: 100, Addresses: 11, Most: 90, Private: 100}, false, false, "warning  addresses: 90 of 100 connections come from one address" + set},
		{admin.Spread{Connections: 100, Addresses: 11, Most: 90}, false, false, "warning  addresses: 90 of 100 connections come from one address" + set},
		{admin.Spread{Connections: 100, Addresses: 12, Most: 89, Private: 89}, true, false, "ok       addresses: 100 connections come from 12 addresses"},
		{admin.Spread{Connections: 100, Addresses: 3, Most: 40, Private: 90}, true, true, "ok       addresses: 100 connections come from 3 addresses"},
		{
			admin.Spread{Connections: 100, Addresses: 3, Most: 40, Private: 90},
			true, false,
			"warning  addresses: 90 of 100 connections come from private networks" + hold + set + "; if your clients are there, all is well",
		},
	} {
		says(t, checkSpread(&c.Spread, c.limited, c.proxied), c.want)
	}
	says(t, checkSpread(nil, true, false), "note     addresses: whether a proxy hides where clients come from is not known, as the relay was not asked")
}
