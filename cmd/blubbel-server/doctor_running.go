package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"time"

	"github.com/mdeiml/blubbel-server/admin"
)

// shown asks the relay, where --admin shows it.
func (e *examination) shown(ctx context.Context) []finding {
	s := showing{at: e.Admin, running: e.process.held, version: version()}
	if e.identity != nil {
		s.relay = relayID(e.identity).String()
	}
	switch {
	case e.Admin == "" || e.Admin.address().anyPort():
	case e.process.held || e.process.err != nil:
		s.status, s.err = askStatus(ctx, ctl{Admin: e.Admin, stateFolder: e.stateFolder})
	default:
		s.bind = tryListen(ctx, e.Admin.address())
	}
	found, known := checkShown(s)
	if known {
		e.status = s.status
	}
	return found
}

func askStatus(ctx context.Context, c ctl) (*admin.Status, error) {
	body, err := c.ask(ctx, http.MethodGet, "/api/status")
	if err != nil {
		return nil, err
	}
	var s admin.Status
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, fmt.Errorf("what answers at %s is no relay, or of another version: %w", c.Admin, err)
	}
	return &s, nil
}

// address is where to listen to be shown there.
func (a adminAddress) address() (at address) {
	if path, isUnix := a.socket(); isUnix {
		return address{scheme: "unix", path: path}
	}
	host, port, _ := net.SplitHostPort(string(a)) // it was checked
	return address{scheme: "tcp", host: host, port: port}
}

// showing is what was seen where the relay is to be shown.
type showing struct {
	at      adminAddress
	running bool  // for certain
	bind    error // why a relay could not be shown there; nil if it could, or if it runs
	err     error // why one that runs cannot be asked
	status  *admin.Status
	relay   string // the id of ours, or empty if that is not known
	version string // of this program
}

// checkShown also says whether it is our relay that has answered.
func checkShown(s showing) (found []finding, ours bool) {
	one := func(m mark, advice, format string, args ...any) []finding {
		return []finding{{m, "admin", fmt.Sprintf(format, args...), advice}}
	}
	const restart = "perhaps it was started with other settings: restart it"
	switch {
	case s.at == "" && s.running:
		return one(isNote, "set --admin unix:///run/blubbel/admin.sock, say, and restart it", "the relay is shown nowhere, so it cannot be asked"), false
	case s.at == "":
		return nil, false
	case s.at.address().anyPort():
		return one(isNote, "give one that stays", "a free port is taken at each start, so the relay cannot be asked there"), false
	case errors.Is(s.bind, fs.ErrNotExist):
		return one(isWarning, makeFolder, "the folder of %s is not there (%v)", s.at, s.bind), false
	case s.bind != nil:
		return one(isWrong, "choose another with --admin, or see to what is in the way", "the relay cannot be shown at %s (%v)", s.at, s.bind), false
	case s.err != nil && s.running:
		return one(isWarning, restart, "the relay runs, and cannot be asked (%v)", s.err), false
	case s.err != nil:
		return one(isNote, "", "if the relay runs, it cannot be asked (%v)", s.err), false
	case s.status == nil:
		return one(isOK, "", "the relay can be shown at %s", s.at), false
	case s.relay != "" && s.status.Relay != s.relay:
		return one(isWrong, "stop it, or choose another with --admin", "another relay is shown at %s, which is %s", s.at, s.status.Relay), false
	}
	return checkStatus(s.status, s.version), true
}

func checkStatus(s *admin.Status, version string) []finding {
	since := s.Now.Sub(s.Started).Round(time.Second)
	switch {
	case s.Stopping:
		return []finding{{isWarning, "admin", "the relay is stopping", "start it again when it has ended, if it is to run"}}
	case s.Version != version:
		return []finding{{
			isWarning, "admin", fmt.Sprintf("the relay that has been running for %v is of version %s, and this program of version %s", since, s.Version, version),
			"restart it for this version",
		}}
	}
	return []finding{{isOK, "admin", fmt.Sprintf("the relay, of version %s, has been ready for %v; connections: %s", s.Version, since, connectionsOf(*s)), ""}}
}

// addresses looks where connections come from: behind a proxy that does not say for whom it asks, everybody has its address.
func (e *examination) addresses(context.Context) []finding {
	var s *admin.Spread
	if e.status != nil {
		s = &e.status.Spread
	}
	return checkSpread(s, e.RateLimits == "on", len(e.ProxyFrom)+len(e.ForwardedFrom) > 0)
}

const (
	crowd     = 20 // connections, from which on there is something to be seen
	nearlyAll = 90 // percent
	ofSpread  = "addresses"
)

// checkSpread is told whether limits by address are on, and whether there are proxies that say for whom they ask.
func checkSpread(s *admin.Spread, limited, proxied bool) []finding {
	switch {
	case s == nil:
		return []finding{{isNote, ofSpread, "whether a proxy hides where clients come from is not known, as the relay was not asked", ""}}
	case s.Connections < crowd:
		return []finding{{isOK, ofSpread, fmt.Sprintf("connections: %d, too few to see whether a proxy hides where clients come from", s.Connections), ""}}
	case s.Most*100 < s.Connections*nearlyAll && (proxied || s.Private*100 < s.Connections*nearlyAll):
		return []finding{{isOK, ofSpread, fmt.Sprintf("%d connections come from %d addresses", s.Connections, s.Addresses), ""}}
	}
	f := finding{
		isWarning, ofSpread, fmt.Sprintf("%d of %d connections come from one address", s.Most, s.Connections),
		"if a proxy is in front of the relay, have it say for whom it asks, and set --proxy-from, or --forwarded-from if it speaks HTTP",
	}
	if s.Most*100 < s.Connections*nearlyAll {
		f.Found = fmt.Sprintf("%d of %d connections come from private networks", s.Private, s.Connections)
		f.Advice += "; if your clients are there, all is well"
	}
	if limited {
		f.Found += ", so that limits by address may hold for all of them together"
	}
	if proxied {
		f.Advice = "look whether that is another proxy than --proxy-from and --forwarded-from name"
	}
	return []finding{f}
}
