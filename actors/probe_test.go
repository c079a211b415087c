package actors

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// extends has Bob say Hello and log in.
func (b *bob) extends() *Login {
	b.t.Helper()
	_, b.shared.Trust.Identity, _ = ed25519.GenerateKey(nil)
	b.writes(frames.Hello{}.Append(nil))
	if _, err := frames.Read(b.conn, frames.MaxPayload); err != nil {
		b.t.Fatal(err)
	}
	b.writes(frames.Login{Key: seedKey(2)}.Append(nil))
	join := next[Join](b.t, b.registry)
	join.Login.User = b.user.PID
	join.Login.worker = nil
	b.system.Root.Send(b.connection, Joined{Login: join.Login})
	b.reads(frames.HeaderSize)
	return join.Login
}

// A client that is gone is found out within probeTime, however often somebody who wants in asks meanwhile.
func TestProbesDoNotPutEachOtherOff(t *testing.T) {
	connected(t, func(b *bob) {
		b.shared.Limits().PingInterval = time.Minute
		b.extends()
		told := make(chan frames.Raw, 100)
		go func() { // ends with the connection
			for {
				f, err := frames.Read(b.conn, frames.MaxPayload)
				if err != nil {
					close(told)
					return
				}
				if f.Type == frames.TypeError {
					told <- f
				}
			}
		}()
		for range 20 { // somebody tries every 2 s, for 40 s
			b.system.Root.Send(b.connection, Probe{})
			after(2 * time.Second)
			if len(told) > 0 {
				return
			}
		}
		t.Error("the client has said nothing for 40 s since the first probe, and is still waited for")
	})
}

// What a client is told because others want in with its key weighs no more than its window.
func TestProbesAreBoundedByTheWindow(t *testing.T) {
	connected(t, func(b *bob) {
		b.shared.Limits().PingInterval = time.Minute
		login := b.extends()
		for range 50_000 { // KEY_IN_USE for others, whose frames nobody limits
			b.system.Root.Send(b.connection, Probe{})
		}
		synctest.Wait()
		if used, most := login.window.used.Load(), login.window.size+largeBuffer; used > most {
			t.Errorf("%d bytes wait for a client that does not read; its window is %d", used, login.window.size)
		}
	}, func(l *Limits) { l.Window = 256 << 10 })
}

// slowDeadline is a connection on which somebody is held up while setting a deadline in the past.
type slowDeadline struct {
	net.Conn
	first atomic.Bool
	held  chan struct{}
}

func (c *slowDeadline) SetReadDeadline(t time.Time) error {
	if t.Equal(past) && !c.first.Swap(true) {
		<-c.held
	}
	return c.Conn.SetReadDeadline(t)
}

// A probe whose goroutine is held up between its two steps does not end the connection.
func TestAProbeDoesNotEndTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.shared.Limits().PingInterval = time.Minute
		server, client := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		conn := &slowDeadline{Conn: server, held: make(chan struct{})}
		connection := s.probe()
		r := newReader(s.shared, conn, newSocket(conn), connection.PID)
		login := s.login(seedKey(1), connection.PID, nil)
		login.extended = true
		r.login.Store(login)
		s.shared.running.Add(1)
		go r.run()
		synctest.Wait()
		go r.probe()       // it has counted, and not set the deadline,
		after(time.Minute) // when the reader's own alarm goes off
		next[ping](t, connection)
		close(conn.held)
		synctest.Wait()
		select {
		case m := <-connection.got:
			e, _ := m.(ended)
			t.Errorf("the reader has ended though the client is there: %T %+v", m, e.refusal)
		default:
		}
		_ = client.Close()
		s.shared.Wait()
		after(2 * time.Second)
	})
}

// proven is a login of somebody who has proved, and wants Presence.
func (s *stage) proven(key frames.Key, connection, user *actor.PID) *Login {
	l := s.login(key, connection, user)
	l.proven, l.extended, l.presence, l.window = true, true, true, &window{size: 1 << 20}
	return l
}

// A proof is not kept waiting by a connection that was given up and does not end.
func TestAProofTakesOverFromWhoWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		registry, stuck, owner := s.probe(), s.probe(), s.probe()
		bob := frames.Key("\x30\x01b")
		user := s.user(bob, registry)
		s.system.Root.Send(user, Join{Login: s.login(bob, stuck.PID, nil), Seq: 1})
		next[Joined](t, stuck)
		s.system.Root.Send(user, GiveUp{})
		next[Close](t, stuck) // which it heeds when its client has read what it is sent, if ever
		s.system.Root.Send(user, Join{Login: s.proven(bob, owner.PID, nil), Seq: 2})
		after(time.Minute)
		if len(stuck.got) == 0 {
			t.Error("after a minute the one that was given up still has the key")
		}
		s.system.Root.Stop(user)
		s.shared.Wait()
		after(2 * time.Second)
	})
}

var bobsKey = frames.Key("\x30\x01b")

// keepsASession is Bob, who has a session with Alice that outlives connections.
func (s *stage) keepsASession(t *testing.T, connection, peer probe) (user *actor.PID, bobs, alices *Login) {
	t.Helper()
	user = s.user(bobsKey, s.probe())
	bobs = s.proven(bobsKey, connection.PID, nil)
	s.system.Root.Send(user, Join{Login: bobs, Seq: 1})
	next[Joined](t, connection)
	alices = s.proven(frames.Key("\x30\x01a"), s.probe().PID, peer.PID)
	s.system.Root.Send(user, Hear{Run: s.run(alices, frames.StartSession{Peer: bobsKey})})
	next[Answered](t, peer)
	next[Deliver](t, connection)
	s.system.Root.Send(user, Take{Chunk: s.chunk(bobs, frames.AcceptSession{Peer: alices.key()})})
	next[Hear](t, peer)
	return user, bobs, alices
}

// Who is told that a peer is there is not left with that when the peer comes back as somebody who does not want it told, and goes.
func TestPresenceIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		connection, peer := s.probe(), s.probe()
		user, _, alice := s.keepsASession(t, connection, peer)
		last := byte(9)
		hears := func() {
			synctest.Wait()
			for len(connection.got) > 0 {
				if m, ok := (<-connection.got).(Deliver); ok && m.Run.Type == frames.TypePresence {
					_, whole := (&Chunk{bytes: m.Run.chunk.bytes}).frame()
					last = whole[frames.HeaderSize]
				}
			}
		}
		hears()
		if last != 1 {
			t.Fatalf("presence %d", last)
		}
		// Alice's next connection does not ask for Presence; the one after it neither.
		s.system.Root.Send(user, Ended{Peer: alice.Name, User: peer.PID, To: string(bobsKey), Keeps: true, over: s.shared})
		s.system.Root.Send(user, Present{Peer: alice.Name, Online: true})
		after(time.Minute)
		s.system.Root.Send(user, Ended{Peer: alice.Name, User: peer.PID, To: string(bobsKey), Keeps: true, over: s.shared})
		after(time.Hour)
		hears()
		if last != 0 {
			t.Error("Alice has been gone for an hour, and Bob was last told that she is there")
		}
		s.system.Root.Stop(user)
		s.shared.Wait()
		after(2 * time.Second)
	})
}

func (l *Login) key() frames.Key { return frames.Key(l.Name) }

// A certificate that was shown on another connection, which this one goes on from with a ticket, is no proof here: full handshakes only.
func TestATicketIsNoCertificate(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	mine := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
	relays := &tls.Config{Certificates: []tls.Certificate{mine}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS13}
	clients := &tls.Config{
		InsecureSkipVerify: true, ServerName: "relay", Certificates: []tls.Certificate{mine}, ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	key, _ := x509.MarshalPKIXPublicKey(&private.PublicKey)
	for i := range 2 {
		client, server := tcp(t)
		conn, theirs := tls.Server(server, relays), tls.Client(client, clients)
		go func() {
			_ = conn.Handshake()
			_, _ = conn.Write([]byte("x"))
		}()
		if _, err := theirs.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if state := conn.ConnectionState(); i == 1 && (!state.DidResume || certified(conn, key)) {
			t.Errorf("resumed: %v; taken for a proof: %v", state.DidResume, certified(conn, key))
		}
		_, _ = client.Close(), server.Close()
	}
}

// A user that is given up while it leaves has told its peers that it keeps their sessions, and does.
func TestWhoIsGivenUpWhileLeavingKeepsWhatItSaidItKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		connection, again, peer := s.probe(), s.probe(), s.probe()
		user, bobs, alice := s.keepsASession(t, connection, peer)
		s.system.Root.Send(user, Leave{Login: bobs, Seq: 2})
		if m := next[Ended](t, peer); !m.Keeps {
			t.Fatal("the session is not kept")
		}
		s.system.Root.Send(user, GiveUp{})
		s.system.Root.Send(user, LetGo{Peer: alice.Name})
		after(time.Second)
		back := s.proven(bobsKey, again.PID, user)
		s.system.Root.Send(user, Join{Login: back, Seq: 3})
		next[Joined](t, again)
		next[Present](t, peer)
		s.system.Root.Send(user, Ended{Peer: alice.Name, User: peer.PID, To: string(bobsKey), Keeps: true, over: s.shared}) // she keeps it
		next[LetGo](t, peer)
		s.system.Root.Send(user, Leave{Login: back, Seq: 4})
		synctest.Wait()
		kept := false
		for len(peer.got) > 0 {
			_, ok := (<-peer.got).(Ended)
			kept = kept || ok
		}
		if !kept {
			t.Error("Alice keeps a session that Bob does not, and hears nothing of it")
		}
		s.system.Root.Send(user, LetGo{Peer: alice.Name})
		s.system.Root.Stop(user)
		s.shared.Wait()
		after(2 * time.Second)
	})
}
