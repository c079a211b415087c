package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
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
		go func() { served <- relay.Serve(ctx, ln.Listener) }() // ends with ctx
	}
	home.introduce(log)
	about := admin.About{Version: version(), Started: time.Now(), Relay: home.relayID().String(), Listen: places(listeners)}
	shown.serve(relay, o.administration, about, cancel, log)
	defer announce(relay, listeners, invitations(listeners, home.relayID(), o.certificates.name()), log)()
	var failed error
	for range listeners {
		failed = errors.Join(failed, <-served)
		cancel() // one that ends takes the others with it
	}
	stop(relay, o.DrainTime, log)
	return failed
}

// announce says that clients may come, and to where; to systemd, too, which then watches until what is returned is called.
func announce(relay *supervisor.Relay, listeners []entrance, addresses string, log *logrus.Entry) (over func()) {
	log.WithFields(logrus.Fields{"listen": strings.Join(places(listeners), ","), "address": addresses}).Info("relay ready")
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

// listeners gets ready what the listeners of TLS need, and opens all the listeners, or none.
func (o options) listeners(ctx context.Context, log *logrus.Entry) (encryption, []entrance, error) {
	encryption, err := o.certificates.open(ctx, o.Listen, o.State, log)
	if err != nil {
		return encryption, nil, err
	}
	listeners, err := o.listening.open(ctx, encryption.config)
	return encryption, listeners, err
}
