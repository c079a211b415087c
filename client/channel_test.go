package client

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// certificate is one for a host, which vouches for itself.
func certificate(t *testing.T, host string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func roots(c tls.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.Leaf)
	return pool
}

// listenTLS serves connections over TLS until the test's end.
func listenTLS(t *testing.T, c tls.Certificate, most uint16, serve func(conn *tls.Conn)) (address string) {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{c}, MaxVersion: most, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() { // ends with the listener
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { // ends with the connection
				defer func() { _ = conn.Close() }()
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				serve(conn.(*tls.Conn))
			})
		}
	})
	t.Cleanup(func() { ln.Close(); all.Wait() })
	return ln.Addr().String()
}

// relayOverTLS is a relay with this identity, which takes one login with a proof.
func relayOverTLS(t *testing.T, c tls.Certificate, identity ed25519.PrivateKey) (address string) {
	return listenTLS(t, c, 0, func(conn *tls.Conn) {
		binding, err := bindingOf(t.Context(), conn)
		if err != nil {
			return // the client does not like our certificate
		}
		hello, err := frames.Read(conn, frames.MaxLoginPayload)
		if err != nil {
			return
		}
		w := frames.Welcome{Elements: frames.Elements{Nonce: make([]byte, frames.NonceSize), RelayID: identity.Public().(ed25519.PublicKey)}}
		welcome := w.Sign(hello.Payload, binding, identity).Append(nil)
		_, _ = conn.Write(welcome)
		raw, err := frames.Read(conn, frames.MaxLoginPayload)
		if err != nil {
			return
		}
		f, err := frames.DefaultKeys().Decode(frames.FromClient, raw)
		prove, is := f.(frames.Prove)
		if err != nil || !is || !frames.NewGreeting(hello.Payload, welcome[frames.HeaderSize:], binding).Proven(prove) {
			t.Error("the proof does not hold for this channel")
			return
		}
		_, _ = conn.Write(frames.LoginAccepted{}.Append(nil))
		_, _ = io.Copy(io.Discard, conn)
	})
}

// entering dials and logs in.
func entering(t *testing.T, address Address, options Options) error {
	t.Helper()
	c, err := Dial(t.Context(), address.String(), options)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return c.Login(t.Context(), testIdentity(t, "alice"))
}

func TestOverTLSTheCertificateOrThePinSaysWhoTheRelayIs(t *testing.T) {
	_, identity, _ := ed25519.GenerateKey(nil)
	id := frames.RelayID(identity.Public().(ed25519.PublicKey))
	ours, elsewhere := certificate(t, "127.0.0.1"), certificate(t, "relay.example")
	right, wrong := relayOverTLS(t, ours, identity), relayOverTLS(t, elsewhere, identity)
	unverified := func(err error) bool {
		_, is := errors.AsType[*tls.CertificateVerificationError](err)
		return is && final(err)
	}
	fine := func(err error) bool { return err == nil }
	for name, c := range map[string]struct {
		address Address
		roots   *x509.CertPool
		want    func(error) bool
	}{
		"with a certificate for it":             {Address{HostPort: right, TLS: true}, roots(ours), fine},
		"with a certificate nobody vouches for": {Address{HostPort: right, TLS: true}, nil, unverified},
		"with a certificate for another host":   {Address{HostPort: wrong, TLS: true}, roots(elsewhere), unverified},
		"pinned, with a certificate for it":     {Address{HostPort: right, TLS: true, Pinned: true, ID: id}, nil, fine},
		"pinned, with one for another host":     {Address{HostPort: wrong, TLS: true, Pinned: true, ID: id}, nil, fine},
		"with the pin of another relay": {Address{HostPort: right, TLS: true, Pinned: true}, roots(ours), func(err error) bool {
			wrong, is := errors.AsType[*WrongRelay](err)
			return is && !wrong.Forged && wrong.Said == id
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := entering(t, c.address, Options{RootCAs: c.roots}); !c.want(err) {
				t.Error(err)
			}
		})
	}
}

// TestWhoSitsInBetweenIsNoticedAndGetsNoProof ends TLS with a certificate of its own, and forwards every byte.
func TestWhoSitsInBetweenIsNoticedAndGetsNoProof(t *testing.T) {
	_, identity, _ := ed25519.GenerateKey(nil)
	id := frames.RelayID(identity.Public().(ed25519.PublicKey))
	address := relayOverTLS(t, certificate(t, "127.0.0.1"), identity)
	bad := certificate(t, "127.0.0.1")
	heard := make(chan []byte, 1)
	between := listenTLS(t, bad, 0, func(conn *tls.Conn) {
		relay, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = relay.Close() }()
		go func() { _, _ = io.Copy(conn, relay) }() // ends with the connection
		var all bytes.Buffer
		_, _ = io.Copy(relay, io.TeeReader(conn, &all))
		heard <- all.Bytes()
	})
	for name, c := range map[string]struct {
		address Address
		roots   *x509.CertPool
	}{
		"by the pin":                           {address: Address{HostPort: between, TLS: true, Pinned: true, ID: id}},
		"by the relay's signature, without it": {address: Address{HostPort: between, TLS: true}, roots: roots(bad)},
	} {
		t.Run(name, func(t *testing.T) {
			err := entering(t, c.address, Options{RootCAs: c.roots})
			if wrong, is := errors.AsType[*WrongRelay](err); !is || !wrong.Forged || wrong.Said != id || !final(err) {
				t.Error(err)
			}
			said := bufio.NewReader(bytes.NewReader(<-heard))
			f, err := frames.Read(said, frames.MaxLoginPayload)
			if rest, _ := io.ReadAll(said); err != nil || f.Type != frames.TypeHello || len(rest) > 0 {
				t.Errorf("after %v it hears %d bytes more", f.Type, len(rest))
			}
		})
	}
}

func TestOlderTLSIsRefused(t *testing.T) {
	c := certificate(t, "127.0.0.1")
	address := listenTLS(t, c, tls.VersionTLS12, func(conn *tls.Conn) { _ = conn.Handshake() })
	err := entering(t, Address{HostPort: address, TLS: true}, Options{RootCAs: roots(c)})
	if err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.2 will do: %v", err)
	}
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots(c), MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	own := New(conn, Options{})
	defer func() { _ = own.Close() }()
	if err := own.Login(t.Context(), testIdentity(t, "alice")); err == nil || !strings.Contains(err.Error(), "TLS 1.3") {
		t.Errorf("TLS 1.2 will do for a connection that is there: %v", err)
	}
}
