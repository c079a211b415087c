package supervisor_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// FuzzConnection has a hostile user say anything to a relay, in pieces of any size, while an honest one is connected. Whatever it is,
// both hear exactly what docs/protocol.md promises them, the ledger says the same, and nothing of the relay is left when it stops.
//
// Each input has a relay of its own, in virtual time: who waits for what never comes is noticed at once.
func FuzzConnection(f *testing.F) {
	for _, s := range seeds() {
		for _, how := range []byte{0, isIn, hasSession, isIn | shuts, hasSession | shuts | hasty, hasSession | vanishes | hasty, isIn | hasty} {
			f.Add(s, []byte{0, 3, 30}, how)
		}
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.SetLevel(logrus.WarnLevel)
	complaints := &complaints{}
	log.AddHook(complaints)
	system := supervisor.NewSystem(logrus.NewEntry(log)) // to make one takes ten times as long as the rest
	f.Fuzz(func(t *testing.T, script, cuts []byte, how byte) {
		synctest.Test(t, func(t *testing.T) {
			play(t, system, logrus.NewEntry(log), rounds(script, how), cuts, how)
		})
		for _, line := range complaints.take() {
			t.Error("the relay complains: " + line)
		}
	})
}

// How the hostile user begins and ends.
const (
	isIn       = 1 << iota // logs in before anything else
	hasSession             // has a session with the honest one, too
	shuts                  // shuts the writing side, and reads to the end
	vanishes               // closes, if it does not shut
	hasty                  // at once: before the last round has had its outcome
)

// The two, as indexes.
const (
	honest = iota
	hostile
)

// keys are those that a script may name; the first two are the users'.
var keys = [][]byte{rsaKey(1), rsaKey(2), rsaKey(3), {}, {0x30, 1, 7}, rsaKey(1)[:100]}

// rsaKey is a key of 2048 bits, as docs/protocol.md has it.
func rsaKey(seed byte) []byte {
	head, _ := hex.DecodeString("30820122300d06092a864886f70d01010105000382010f003082010a0282010100")
	modulus := bytes.Repeat([]byte{seed}, 256)
	modulus[0], modulus[255] = 0x80, 1
	return append(append(head, modulus...), 2, 3, 1, 0, 1)
}

// round is what the hostile user says and, when all of that has had its outcome, the honest one.
type round [2][]byte

// How much the hostile user says at most, or little more, and in how many rounds, which take a second each.
const (
	mostBytes  = 256 << 10
	mostRounds = 1000
)

// rounds reads a script: commands of a byte, and their arguments. What it lacks at its end is zeroes.
func rounds(script []byte, how byte) (all []round) {
	var now round
	if how&(isIn|hasSession) != 0 {
		now[hostile] = wire(frames.TypeLogin, keys[hostile])
	}
	if how&hasSession != 0 {
		now[hostile] = append(now[hostile], wire(frames.TypeStart, keys[honest])...)
		now[honest] = wire(frames.TypeAccept, keys[hostile])
		all, now = append(all, now), round{}
	}
	s := bytes.NewBuffer(script)
	arg := func() byte { b, _ := s.ReadByte(); return b }
	for said := 0; s.Len() > 0 && said < mostBytes && len(all) < mostRounds; {
		before := len(now[hostile])
		switch arg() % 4 {
		case 0: // so many bytes, as they are
			now[hostile] = append(now[hostile], s.Next(int(arg()))...)
		case 1: // a frame: type, key, so many bytes
			t, key := frames.Type(arg()), keys[int(arg())%len(keys)]
			now[hostile] = append(now[hostile], wire(t, key, s.Next(int(arg())))...)
		case 2: // a frame: type, key, so many zeroes (of two bytes)
			t, key := frames.Type(arg()), keys[int(arg())%len(keys)]
			now[hostile] = append(now[hostile], wire(t, key, make([]byte, binary.BigEndian.Uint16([]byte{arg(), arg()})))...)
		case 3: // the honest user says: a StartSession, AcceptSession or Message to the hostile one, so many bytes
			now[honest] = wire(frames.TypeStart+frames.Type(arg()%3), keys[hostile], s.Next(int(arg())))
			all, now, before = append(all, now), round{}, 0
		}
		said += len(now[hostile]) - before
	}
	return append(all, now)
}

// seeds are scripts in which every kind of frame is said to everybody.
func seeds() (all [][]byte) {
	for _, t := range []byte{0, 1, 2, 3, 4, 5, 6, 0x10, 0x11, 0x12, 0x14, 0x16, 0x18, 0x7f, 0xff} {
		var s []byte
		for key := range keys {
			s = append(s, 1, t, byte(key), 3, 'a', 'b', 'c')
		}
		all = append(all, s)
	}
	return append(all,
		[]byte{1, 2, 0, 1, 'a', 3, 1, 1, 'b', 1, 4, 0, 1, 'c', 3, 2, 1, 'd'},             // asks, is accepted; both talk
		[]byte{3, 0, 1, 'a', 1, 3, 0, 1, 'b', 1, 4, 0, 1, 'c', 3, 2, 1, 'd'},             // is asked, accepts
		[]byte{3, 0, 1, 'a', 1, 2, 0, 1, 'b', 1, 3, 0, 1, 'c', 3, 1, 1, 'd', 1, 4, 0, 0}, // both ask; both accept
		[]byte{2, 2, 0, 0x10, 0, 2, 2, 0, 0x10, 1, 2, 3, 0, 0x10, 1},                     // a sealed part as long as may be, and longer
		[]byte{2, 4, 0, 0xfe, 0xda, 2, 4, 0, 0xfe, 0xdb, 1, 4, 0, 0},                     // a message as long as may be, and longer
		[]byte{1, 4, 0, 0, 0, 5, 4, 0xff, 0xff, 0xff, 0xff, 1, 4, 0, 0},                  // 4 GiB
		[]byte{1, 4, 0, 0, 0, 4, 4, 0, 0, 1},                                             // ends within a header
		[]byte{0, 7, 4, 0, 0, 0, 9, 0x30, 0},                                             // ends within a payload
		[]byte{1, 1, 0, 0, 1, 1, 2, 1, 0, 1, 1, 1, 0, 1, 1, 2, 0, 1, 4, 0, 0},            // logs in: another's key, a bad one, two good ones
	)
}

// play plays all rounds at a relay, and compares.
func play(t *testing.T, system *actor.ActorSystem, log *logrus.Entry, all []round, cuts []byte, how byte) {
	relay, err := supervisor.New(supervisor.Config{Log: log, NoRateLimits: true, LoginTime: time.Hour, FrameTime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := relay.Spawn(system.Root, "relay"); err != nil {
		t.Fatal(err)
	}
	door := make(entrance)
	served := make(chan error)
	go func() { served <- relay.Serve(context.Background(), door) }() // ends with the relay
	want := newReference()
	users := [2]*person{enter(door), enter(door)}
	say := func(who int, b, cuts []byte) {
		want.says(who, b)
		users[who].says(b, cuts)
	}
	say(honest, wire(frames.TypeLogin, keys[honest]), nil)
	for i, r := range all {
		say(hostile, r[hostile], cuts)
		if i == len(all)-1 && how&hasty != 0 {
			break
		}
		settles(t, relay, want)
		say(honest, r[honest], nil)
		settles(t, relay, want)
	}
	switch {
	case how&shuts != 0:
		_ = users[hostile].out.Close()
	case how&vanishes != 0:
		_ = users[hostile].in.Close()
		_ = users[hostile].out.Close()
	}
	cutShort := how&hasty != 0 && how&shuts == 0
	if how&(shuts|vanishes) != 0 {
		want.leaves(hostile)
	}
	if how&(shuts|vanishes) != 0 || !cutShort {
		settles(t, relay, want)
		say(honest, wire(0x7f), nil) // who is as well as before
		settles(t, relay, want)
	}

	stopping, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := relay.Stop(stopping); err != nil {
		t.Errorf("the relay does not stop: %v", err)
	}
	want.stops()
	if err := <-served; err != nil {
		t.Error(err)
	}
	for who, u := range users {
		<-u.ended
		if err := want.users[who].compare(u.heard, cutShort); err != nil {
			t.Errorf("user %d: %v", who, err)
		}
	}
	want.audit(t, relay, cutShort)
	<-time.After(2 * time.Second) // Proto.Actor counts dead letters for a second
}

// settles lets time pass until everything has had its outcome.
func settles(t *testing.T, relay *supervisor.Relay, want *reference) {
	t.Helper()
	<-time.After(time.Second + time.Duration(want.unavailable)*20*time.Millisecond)
	synctest.Wait()
	if a := relay.Account(); a.InFlight.Frames != 0 {
		t.Errorf("does not settle: %v", a)
	}
}

// audit compares the ledger.
func (r *reference) audit(t *testing.T, relay *supervisor.Relay, cutShort bool) {
	t.Helper()
	a := relay.Account()
	if a.InFlight.Frames != 0 || a.InFlight.Bytes != 0 || a.DeadLetters != 0 {
		t.Errorf("not everything is settled: %v", a)
	}
	if cutShort {
		return
	}
	same := a.Taken.Frames == uint64(r.taken) && a.Delivered.Frames == uint64(r.delivered) && len(a.Refused) == len(r.refused)
	for code, n := range r.refused {
		same = same && a.Refused[code].Frames == n
	}
	if !same {
		t.Errorf("%v; want taken %d, delivered %d, refused %v", a, r.taken, r.delivered, r.refused)
	}
}

// person is a client: it says what it is told to, and listens all the time.
type person struct {
	out   net.Conn // what is said
	in    net.Conn
	mu    sync.Mutex    // of heard, until nothing more is
	heard [][]byte      // whole frames
	ended chan struct{} // closed when nothing more is heard
}

// enter connects.
func enter(door entrance) *person {
	hears, told := net.Pipe()
	says, said := net.Pipe()
	door <- line{Conn: said, out: told}
	p := &person{out: says, in: hears, ended: make(chan struct{})}
	go p.listens() // ends with the connection
	return p
}

// says writes b in pieces, each when the one before has had its effect. Who was closed is not heard.
func (p *person) says(b, cuts []byte) {
	for len(b) > 0 {
		n := len(b)
		if len(cuts) > 0 {
			n = min(n, int(cuts[0])+1)
			cuts = cuts[1:]
		}
		if _, err := p.out.Write(b[:n]); err != nil {
			return
		}
		b = b[n:]
		synctest.Wait()
	}
}

func (p *person) listens() {
	defer close(p.ended)
	defer func() { _ = p.out.Close() }()
	for {
		frame := make([]byte, 5)
		if _, err := io.ReadFull(p.in, frame); err != nil {
			return
		}
		n := binary.BigEndian.Uint32(frame[1:])
		if n > 66048 {
			p.hear(frame) // which nobody expects
			return
		}
		frame = append(frame, make([]byte, n)...)
		if _, err := io.ReadFull(p.in, frame[5:]); err != nil {
			return
		}
		p.hear(frame)
	}
}

func (p *person) hear(frame []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = append(p.heard, frame)
}

// line is a connection within the process, each of whose directions ends for itself.
type line struct {
	net.Conn // what comes in
	out      net.Conn
}

func (l line) Write(b []byte) (int, error)        { return l.out.Write(b) }
func (l line) CloseWrite() error                  { return l.out.Close() }
func (l line) SetWriteDeadline(t time.Time) error { return l.out.SetWriteDeadline(t) }

func (l line) Close() error {
	_ = l.out.Close()
	return l.Conn.Close()
}

// entrance is a listener within the process.
type entrance chan net.Conn

// Accept implements net.Listener.
func (e entrance) Accept() (net.Conn, error) {
	conn, ok := <-e
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

// Close implements net.Listener. It may be called twice.
func (e entrance) Close() error {
	defer func() { _ = recover() }()
	close(e)
	return nil
}

// Addr implements net.Listener.
func (entrance) Addr() net.Addr { return &net.UnixAddr{Name: "entrance"} }

// complaints are lines of the log that should not be there: crashes, bugs, warnings.
type complaints struct {
	mu    sync.Mutex
	lines []string
}

// Levels implements logrus.Hook.
func (*complaints) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (c *complaints) Fire(line *logrus.Entry) error {
	text, err := line.String()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, text)
	return err
}

func (c *complaints) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := c.lines
	c.lines = nil
	return lines
}
