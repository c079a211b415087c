package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/supervisor"
)

// systemd is told how the relay is, if it is systemd that has started it (see sd_notify(3)), or something that listens as systemd does.
type systemd struct{ log *logrus.Entry }

// tell says this, if somebody wants to know.
func (s systemd) tell(words ...string) {
	if _, err := daemon.SdNotify(false, strings.Join(words, "\n")); err != nil {
		s.log.WithError(err).Warn("systemd cannot be told how the relay is")
	}
}

// ready says that clients may come, and signals.
func (s systemd) ready() { s.tell(daemon.SdNotifyReady, "STATUS=ready") }

// reloading says that the configuration is read again, until ready says that it was.
func (s systemd) reloading() {
	s.tell(daemon.SdNotifyReloading, daemon.SdNotifyMonotonicUsec()+"STATUS=reading the configuration again")
}

// lastWords is the time that systemd gives a relay on top of what it may take to settle everything.
const lastWords = 10 * time.Second

// stopping says that the relay stops, and asks for the time that this may take, whatever the unit says.
func (s systemd) stopping(within time.Duration) {
	s.tell(daemon.SdNotifyStopping, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (within+lastWords).Microseconds()), "STATUS=settling what is under way")
}

// watched proves to systemd again and again that the relay answers, if the unit asks for that (WatchdogSec=), until what it returns is
// called. A relay that hangs does not answer.
func (s systemd) watched(relay *supervisor.Relay) (over func()) {
	allowed, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.WithError(err).Warn("systemd wants to watch the relay, and does not say how often")
	}
	if allowed == 0 {
		return func() {}
	}
	quit, tick := make(chan struct{}), time.NewTicker(allowed/2)
	go func() { // ends with quit
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.answers(relay.Stats())
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit) }
}

// answers says that the relay has answered, and what.
func (s systemd) answers(stats supervisor.Stats) {
	words := []string{daemon.SdNotifyWatchdog}
	if !stats.Stopping {
		words = append(words, fmt.Sprintf("STATUS=ready; %d online, %d sessions", stats.Users["online"], stats.Sessions))
	}
	s.tell(words...)
}
