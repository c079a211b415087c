package listener_test

import (
	"crypto"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/listener"
)

// patience is how long anything may take before a test calls it a hang.
const patience = 20 * time.Second

// fixed is a source of one certificate.
type fixed struct{ certificate tls.Certificate }

func (f *fixed) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return &f.certificate, nil
}

// server accepts TLS, and echoes what it reads. It shakes hands where it reads, as the relay does.
type server struct {
	address string
	shaken  chan shaken // tells of each handshake, if there is room
}

type shaken struct {
	state tls.ConnectionState
	err   error
}

func serve(t *testing.T, from listener.Source) server {
	t.Helper()
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := server{raw.Addr().String(), make(chan shaken, 1000)}
	ln := tls.NewListener(raw, listener.TLSConfig(from))
	t.Cleanup(func() { _ = ln.Close() })
	go func() { // ends when the listener is closed
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go s.echo(conn.(*tls.Conn)) // ends with the connection
		}
	}()
	return s
}

func (s server) echo(conn *tls.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	err := conn.Handshake()
	select {
	case s.shaken <- shaken{conn.ConnectionState(), err}:
	default:
	}
	if err == nil {
		_, _ = io.Copy(conn, conn)
	}
}

// dial connects, and says a word that has to come back: a client of TLS 1.3 hears only then that it was refused.
func (s server) dial(t *testing.T, config *tls.Config) (*tls.Conn, error) {
	t.Helper()
	c := config.Clone()
	c.InsecureSkipVerify = true
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", s.address, c)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	return conn, says(conn)
}

func says(conn net.Conn) error {
	if _, err := conn.Write([]byte("word")); err != nil {
		return err
	}
	back := make([]byte, 4)
	if _, err := io.ReadFull(conn, back); err != nil {
		return err
	}
	if string(back) != "word" {
		return errors.New("another word")
	}
	return nil
}

// refused reports whether the server has said why, with this alert. crypto/tls has no name for it.
func refused(err error, with string) bool {
	return err != nil && strings.Contains(err.Error(), "remote error: tls: "+with)
}

const (
	badCertificate  = "bad certificate"
	badSignature    = "error decrypting message"
	protocolVersion = "protocol version not supported"
	noProtocol      = "no application protocol"
)

func TestOnlyTLS13IsSpoken(t *testing.T) {
	s := serve(t, &fixed{valid(t, ecdsaKey(t), 1)})
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12} {
		if _, err := s.dial(t, &tls.Config{MinVersion: version, MaxVersion: version}); !refused(err, protocolVersion) {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
	conn, err := s.dial(t, &tls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if is := conn.ConnectionState().Version; is != tls.VersionTLS13 {
		t.Error(tls.VersionName(is))
	}
}

func TestTheRelayMayHaveAnyKindOfKey(t *testing.T) {
	for name, key := range map[string]crypto.Signer{"RSA": rsaKey(t, 2048), "ECDSA": ecdsaKey(t), "Ed25519": ed25519Key(t)} {
		if _, err := serve(t, &fixed{valid(t, key, 1)}).dial(t, &tls.Config{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheProtocolIsOfferedAndNotDemanded(t *testing.T) {
	s := serve(t, &fixed{valid(t, ecdsaKey(t), 1)})
	for _, c := range []struct{ asks, gets string }{
		{"", ""},
		{listener.Protocol, listener.Protocol},
		{"h2 " + listener.Protocol, listener.Protocol},
	} {
		conn, err := s.dial(t, &tls.Config{NextProtos: strings.Fields(c.asks)})
		if err != nil {
			t.Errorf("%q: %v", c.asks, err)
		} else if got := conn.ConnectionState().NegotiatedProtocol; got != c.gets {
			t.Errorf("%q: %q", c.asks, got)
		}
	}
	for _, asks := range []string{"h2", "http/1.1", "blubbel/2", "acme-tls/1"} {
		if _, err := s.dial(t, &tls.Config{NextProtos: []string{asks}}); !refused(err, noProtocol) {
			t.Errorf("%q: %v", asks, err)
		}
	}
}

func TestClientsMayShowAnyCertificate(t *testing.T) {
	s := serve(t, &fixed{valid(t, ecdsaKey(t), 1)})
	now := time.Now()
	expired := issue(t, ecdsaKey(t), 2, now.Add(-2*time.Hour), now.Add(-time.Hour))
	long := valid(t, ecdsaKey(t), 3)
	for range 3 {
		long.Certificate = append(long.Certificate, expired.Certificate[0])
	}
	for name, c := range map[string]tls.Certificate{
		"RSA 1024":          valid(t, rsaKey(t, 1024), 4),
		"RSA 2048":          valid(t, rsaKey(t, 2048), 4),
		"ECDSA":             valid(t, ecdsaKey(t), 4),
		"Ed25519":           valid(t, ed25519Key(t), 4),
		"expired":           expired,
		"not valid yet":     issue(t, ecdsaKey(t), 4, now.Add(time.Hour), now.Add(2*time.Hour)),
		"four certificates": long,
	} {
		if _, err := s.dial(t, &tls.Config{Certificates: []tls.Certificate{c}}); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if shown := (<-s.shaken).state.PeerCertificates; len(shown) == 0 || !shown[0].Equal(c.Leaf) {
			t.Errorf("%s: the server has seen %d certificates", name, len(shown))
		}
	}
}

// Nobody here has the key of the certificate. Who is refused for the certificate is told so before the signature is looked at.
func TestCertificatesThatCostTooMuchAreRefusedBeforeTheirSignature(t *testing.T) {
	s := serve(t, &fixed{valid(t, ecdsaKey(t), 1)})
	long := forge(t, 2048, 65537)
	for range 4 {
		long.Certificate = append(long.Certificate, long.Certificate[0])
	}
	const signature = "invalid signature by the client"
	for _, c := range []struct {
		shown      tls.Certificate
		says, hear string
	}{
		{long, "shows 5 certificates", badCertificate},
		{forge(t, 1023, 65537), "has 1023 bits", badCertificate},
		{forge(t, 1024, 65537), signature, badSignature},
		{forge(t, 2048, 65537), signature, badSignature},
		{forge(t, 2048, 3), "the exponent 3, not 65537", badCertificate},
		{forge(t, 2048, 65539), "the exponent 65539, not 65537", badCertificate},
		{forge(t, 4096, 65537), signature, badSignature},
		{forge(t, 4097, 65537), "has 4097 bits", badCertificate},
		{forge(t, 8192, 65537), "has 8192 bits", badCertificate},
		{forge(t, 8193, 65537), "larger than 8192 bits", badCertificate}, // by crypto/tls
	} {
		_, err := s.dial(t, &tls.Config{Certificates: []tls.Certificate{c.shown}})
		if got := (<-s.shaken).err; got == nil || !strings.Contains(got.Error(), c.says) {
			t.Errorf("%s: %v", c.says, got)
		}
		if !refused(err, c.hear) {
			t.Errorf("%s: the client hears %v", c.says, err)
		}
	}
}

// cache notes what a server gives a client to come back with.
type cache struct {
	tls.ClientSessionCache
	put atomic.Int64
}

func (c *cache) Put(key string, state *tls.ClientSessionState) {
	c.put.Add(1)
	c.ClientSessionCache.Put(key, state)
}

func TestNobodyGetsATicket(t *testing.T) {
	s := serve(t, &fixed{valid(t, ecdsaKey(t), 1)})
	kept := &cache{ClientSessionCache: tls.NewLRUClientSessionCache(10)}
	for range 3 {
		conn, err := s.dial(t, &tls.Config{ClientSessionCache: kept, ServerName: "relay.test"})
		if err != nil {
			t.Fatal(err)
		}
		if conn.ConnectionState().DidResume {
			t.Error("a handshake was shortened")
		}
	}
	if n := kept.put.Load(); n > 0 {
		t.Errorf("%d tickets", n)
	}
}

func TestBothEndsCanBindToTheChannel(t *testing.T) {
	s := serve(t, &fixed{valid(t, ecdsaKey(t), 1)})
	conn, err := s.dial(t, &tls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	const label = "EXPORTER-Channel-Binding" // RFC 9266
	ours, theirs := conn.ConnectionState(), (<-s.shaken).state
	a, err := ours.ExportKeyingMaterial(label, nil, 32)
	if err != nil {
		t.Fatal(err)
	}
	b, err := theirs.ExportKeyingMaterial(label, nil, 32)
	if err != nil || string(a) != string(b) {
		t.Errorf("they differ, %v", err)
	}
}

// counter is a key that counts who signs at once, and has them wait.
type counter struct {
	crypto.Signer
	signing atomic.Int64
	leave   chan struct{}
}

func (c *counter) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	c.signing.Add(1)
	defer c.signing.Add(-1)
	<-c.leave
	return c.Signer.Sign(random, digest, opts)
}

func TestSoManySignaturesAtOnceAndNoMore(t *testing.T) {
	certificate := valid(t, ecdsaKey(t), 1)
	seats := 4 * runtime.GOMAXPROCS(0)
	synctest.Test(t, func(t *testing.T) {
		key := &counter{Signer: certificate.PrivateKey.(crypto.Signer), leave: make(chan struct{})}
		certificate.PrivateKey = key
		config := listener.TLSConfig(&fixed{certificate})
		var all sync.WaitGroup
		for range 3 * seats {
			ours, theirs := net.Pipe()
			all.Go(func() { _ = tls.Server(theirs, config).Handshake() })
			all.Go(func() {
				if err := tls.Client(ours, &tls.Config{InsecureSkipVerify: true}).Handshake(); err != nil {
					t.Error(err)
				}
			})
		}
		for left := 3 * seats; left > 0; left-- { // one after the other leaves, and lets another in
			synctest.Wait()
			if n := key.signing.Load(); n != int64(min(seats, left)) {
				t.Errorf("%d sign at once, when %d want to; %d may", n, left, seats)
			}
			key.leave <- struct{}{}
		}
		all.Wait()
	})
}

// mute is a connection of a client that hears nothing of the server, so that it comes no further than its first word.
type mute struct{ net.Conn }

func (m mute) Read([]byte) (int, error) {
	_, _ = io.Copy(io.Discard, m.Conn) // until it is closed
	return 0, io.EOF
}

func TestWhoIsSlowInAHandshakeKeepsNobodyOut(t *testing.T) {
	certificate := valid(t, ecdsaKey(t), 1)
	s := serve(t, &fixed{certificate})
	for range 4*runtime.GOMAXPROCS(0) + 1 {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		go func() { // ends when the connection is closed
			_ = tls.Client(mute{conn}, &tls.Config{InsecureSkipVerify: true}).Handshake()
		}()
	}
	if _, err := s.dial(t, &tls.Config{}); err != nil {
		t.Error(err)
	}
}

func TestAcceptingWaitsForNoHandshake(t *testing.T) {
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := tls.NewListener(raw, listener.TLSConfig(&fixed{valid(t, ecdsaKey(t), 1)}))
	defer func() { _ = ln.Close() }()
	for range 2 {
		silent, err := net.Dial("tcp", raw.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = silent.Close() }()
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if state := conn.(*tls.Conn).ConnectionState(); state.HandshakeComplete {
			t.Error("there was a handshake")
		}
	}
}
