package main

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/supervisor"
)

// serve runs a relay until ctx ends, or until it cannot accept any more.
func serve(ctx context.Context, o options, stderr io.Writer) error {
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
		return explain(err)
	}
	return o.serve(ctx, relay, home, log)
}

// serve is serve when there is a relay.
func (o options) serve(ctx context.Context, relay *supervisor.Relay, home *state, log *logrus.Entry) error {
	encryption, listeners, err := o.listeners(ctx, log)
	if err != nil {
		return err
	}
	defer reloadAtHangup(log, append(encryption.reloaders(), home.reloaders()...))()
	if _, err := relay.Spawn(supervisor.NewSystem(log).Root, "relay"); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go giveBack(ctx, relay)         // ends with ctx
	go expire(ctx, home.store, log) // ends with ctx
	if home.allowed != nil {
		go home.allowed.watch(ctx, relay.Recheck) // ends with ctx
	}
	encryption.begin(ctx, log)
	served := make(chan error)
	for _, ln := range listeners {
		go func() { served <- relay.Serve(ctx, ln.Listener) }() // ends with ctx
	}
	home.introduce(log)
	log.WithFields(logrus.Fields{
		"listen": places(listeners), "address": invitations(listeners, home.relayID(), o.certificates.name()),
	}).Info("relay ready")
	var failed error
	for range listeners {
		failed = errors.Join(failed, <-served)
		cancel() // one that ends takes the others with it
	}
	stop(relay, o.DrainTime, log)
	return failed
}

// stop settles what is under way, in the time there is.
func stop(relay *supervisor.Relay, within time.Duration, log *logrus.Entry) {
	log.Info("relay stopping")
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
