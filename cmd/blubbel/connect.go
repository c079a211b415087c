package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/frames"
)

// patience is how long the relay may take to answer.
const patience = 20 * time.Second

// leaving is how long the relay may take to notice that an earlier connection of ours has closed.
const leaving = 2 * time.Second

// trust says how to know a relay.
type trust struct {
	TLSCA string `name:"tls-ca" help:"File with the certificates, as PEM, of who vouches for a tls:// or wss:// relay. Without it: those of the system." placeholder:"FILE"`
}

// options are those of a client that trusts so.
func (t trust) options() (o client.Options, err error) {
	if t.TLSCA == "" {
		return o, nil
	}
	text, err := os.ReadFile(t.TLSCA)
	if err != nil {
		return o, fmt.Errorf("cannot read --tls-ca: %w", err)
	}
	o.RootCAs = x509.NewCertPool()
	if !o.RootCAs.AppendCertsFromPEM(text) {
		return o, fmt.Errorf("--tls-ca %s: there is no certificate in it (PEM, BEGIN CERTIFICATE)", t.TLSCA)
	}
	return o, nil
}

// relayFlags say where to connect, and as whom.
type relayFlags struct {
	keyFile
	trust
	Relay string `help:"The relay (${default}): host:port, tls://host:port, or with its id, which it has to prove, blubbels://ID@host:port, without TLS blubbel://ID@host:port. By WebSocket: wss://host/path, or ws:// without TLS, with ID@ before the host if you like." default:"127.0.0.1:8000" placeholder:"ADDRESS" env:"BLUBBEL_RELAY"`

	Unproven  bool           `help:"Log in without proving that the key is yours, for a relay that takes no proof. Sessions end with the connection then."`
	Reconnect *time.Duration `help:"For how long to try to connect again when the connection is lost; 0: not at all. Without it: until interrupted; in a pipe, a minute." placeholder:"TIME"`
}

// piping is how long a pipe tries to connect again: a script should not hang, nor a short break end it.
const piping = time.Minute

// connect logs in. again is for how long to try to connect again later, unless the user says.
func (f relayFlags) connect(ctx context.Context, self *client.Identity, again time.Duration) (*client.Client, error) {
	options, err := f.options()
	if err != nil {
		return nil, err
	}
	options.Unproven, options.Reconnect = f.Unproven, again
	if f.Reconnect != nil {
		options.Reconnect = *f.Reconnect
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := checkAddress("--relay (or BLUBBEL_RELAY)", f.Relay, options); err != nil {
		return nil, err
	}
	c, err := client.Dial(ctx, f.Relay, options)
	if err != nil {
		return nil, unreached(err, f.Relay)
	}
	if err = login(ctx, c, self); err == nil {
		return c, nil
	}
	_ = c.Close()
	return nil, unanswered(err, f.Relay)
}

// checkAddress says what is wrong with an address. The flag is where the user gave it.
func checkAddress(flag, address string, options client.Options) error {
	a, err := client.ParseAddress(address)
	switch {
	case err != nil:
		return withCode(exitUsage, fmt.Errorf("%s %s: %w", flag, address, err))
	case a.Pinned && options.Unproven:
		return withCode(exitUsage, fmt.Errorf("%s %s: --unproven does not ask the relay who it is; leave out its id", flag, address))
	case options.RootCAs != nil && (a.Pinned && !a.WebSocket || !a.TLS): // there is no certificate, or the id counts instead
		return withCode(exitUsage, fmt.Errorf("%s %s: with --tls-ca the address has to begin with tls:// or wss://", flag, address))
	}
	return nil
}

// unreached says why a relay cannot be spoken to.
func unreached(err error, address string) error {
	var unverified *tls.CertificateVerificationError
	var notTLS tls.RecordHeaderError
	var noWebSocket *client.NoWebSocket
	var network *net.OpError
	switch {
	case errors.As(err, &unverified):
		return withCode(exitRelay, fmt.Errorf("the certificate of %s does not prove that it is the relay (%w); give who vouches for it "+
			"with --tls-ca, or the relay's id with blubbels://", address, unverified.Err))
	case errors.As(err, &noWebSocket):
		return withCode(exitRelay, fmt.Errorf("what answers at %s opens no WebSocket there; is the path right? (%w)", address, err))
	case errors.As(err, &notTLS):
		return withCode(exitRelay, fmt.Errorf("what answers at %s does not speak TLS; without TLS the address begins with tcp:// or blubbel://", address))
	case errors.As(err, &network):
		return withCode(exitRelay, fmt.Errorf("cannot reach the relay at %s; is it running, and the address right? (%w)", address, network.Err))
	}
	return unanswered(err, address)
}

// unanswered says why a connection came to no login.
func unanswered(err error, address string) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return withCode(exitRelay, fmt.Errorf("what answers at %s is not a blubbel relay, or very slow; check the address", address))
	}
	return explain(err, "")
}

// login logs in. While the relay has not noticed yet that an earlier connection of this key is gone, it tries again.
func login(ctx context.Context, c *client.Client, self *client.Identity) error {
	for until := time.Now().Add(leaving); ; {
		err := c.Login(ctx, self)
		if !client.IsRefused(err, frames.KeyInUse) || time.Now().After(until) {
			return err
		}
		select {
		case <-time.After(leaving / 10):
		case <-ctx.Done():
		}
	}
}
