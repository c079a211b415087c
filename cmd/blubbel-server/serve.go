package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/admin"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// serve runs a relay until ctx ends, or until it cannot accept any more.
func serve(ctx context.Context, o options, now *live, stderr io.Writer) error {
	log, written := o.logger(stderr)
	written = sync.OnceFunc(written)
	defer written()
	home, err := o.openState(log, fatal(log, written, os.Exit))
	if err != nil {
		return err
	}
	defer home.close(log)
	relay, err := o.relay(log, home)
	if err != nil {
		return err
	}
	now.relay, now.allowed, now.log = relay, home.allowed, log
	return o.serve(ctx, now, home)
}

// serve is serve when there is a relay.
func (o options) serve(ctx context.Context, now *live, home *state) error {
	relay, log := now.relay, now.log
	shown, err := o.administration.open(ctx, o.State)
	if err != nil {
		return err
	}
	defer shown.close()
	encryption, listeners, err := o.listeners(ctx, log)
	if err != nil {
		return err
	}
	if _, err := relay.Spawn(supervisor.NewSystem(log).Root, "relay"); err != nil {
		return err
	}
	now.files = append(encryption.reloaders(), home.reloaders()...)
	defer now.reloadAtHangup()()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	home.tend(ctx, relay, log)
	encryption.begin(ctx, log)
	served := make(chan error)
	for _, ln := range listeners {
		go func() { served <- relay.Serve(ctx, ln) }() // ends with ctx
	}
	home.introduce(log)
	about := admin.About{Version: version(), Started: time.Now(), Relay: home.relayID().String(), Listen: addresses(listeners, place)}
	shown.serve(relay, o.administration, about, cancel, log)
	defer home.announce(relay, listeners, log)()
	var failed error
	for range listeners {
		failed = errors.Join(failed, <-served)
		cancel() // one that ends takes the others with it
	}
	stop(relay, o.DrainTime, log)
	return failed
}

// announce says that clients may come, and to where; to systemd, too, which then watches until what is returned is called.
func (s *state) announce(relay *supervisor.Relay, listeners []net.Listener, log *logrus.Entry) (over func()) {
	log.WithFields(logrus.Fields{
		"listen": strings.Join(addresses(listeners, place), ","), "address": strings.Join(addresses(listeners, s.reachable), " "),
	}).Info("relay ready")
	systemd{log}.ready()
	return systemd{log}.watched(relay)
}

// stop settles what is under way, in the time there is.
func stop(relay *supervisor.Relay, within time.Duration, log *logrus.Entry) {
	log.Info("relay stopping")
	systemd{log}.stopping(within)
	stopping, giveUp := context.WithTimeout(context.Background(), within)
	defer giveUp()
	if relay.Stop(stopping) != nil {
		log.Warn("not everything under way was settled in time; the rest was refused")
	}
	log.WithField("frames", relay.Account().String()).Info("relay stopped")
}

// listeners gets ready what the tls:// listeners need, and opens all the listeners, or none.
func (o options) listeners(ctx context.Context, log *logrus.Entry) (encryption, []net.Listener, error) {
	encryption, err := o.certificates.open(ctx, o.Listen, o.State, log)
	if err != nil {
		return encryption, nil, err
	}
	listeners, err := listen(ctx, o.Listen, encryption.config)
	return encryption, listeners, err
}

// listen opens all the listeners, or none. The config is for those of TLS.
func listen(ctx context.Context, where []address, encrypted *tls.Config) ([]net.Listener, error) {
	var listeners []net.Listener
	config := net.ListenConfig{KeepAlive: -1} // the relay sets it for each connection, and once is enough
	for _, a := range where {
		ln, err := config.Listen(ctx, "tcp", a.hostPort())
		if err != nil {
			for _, ln := range listeners {
				_ = ln.Close()
			}
			return nil, advise(a, err)
		}
		if a.tls() {
			ln = overTLS{tls.NewListener(ln, encrypted)}
		}
		listeners = append(listeners, ln)
	}
	return listeners, nil
}

// advise says what to do about an address that cannot be listened on.
func advise(a address, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("cannot listen on %s: another program does; choose another with --listen", a)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("cannot listen on %s: not permitted; ports below 1024 need privileges, choose another with --listen", a)
	}
	return fmt.Errorf("cannot listen on %s: %w", a, err)
}

// addresses are where the listeners are, as this says it.
func addresses(listeners []net.Listener, say func(net.Listener) string) (list []string) {
	for _, ln := range listeners {
		list = append(list, say(ln))
	}
	return list
}

// overTLS is a listener that speaks TLS.
type overTLS struct{ net.Listener }

// place is where a listener is.
func place(ln net.Listener) string {
	if _, ok := ln.(overTLS); ok {
		return "tls://" + ln.Addr().String()
	}
	return ln.Addr().String()
}

// scheme is how clients are to speak with a listener.
func scheme(ln net.Listener) string {
	if _, ok := ln.(overTLS); ok {
		return "blubbels"
	}
	return "blubbel"
}
