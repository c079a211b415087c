package daemon

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

var (
	stops = flag.Int("stops", 2, "how many daemons are stopped under load")
	seed  = flag.Uint64("seed", 0, "the first of them; 0 draws one")
)

// drainTime is how long the daemon may take to stop. Ten more seconds are for a busy machine.
const drainTime = 10 * time.Second

func TestStopUnderLoad(t *testing.T) {
	for *seed == 0 {
		*seed = rand.Uint64() >> 32
	}
	for n := range uint64(*stops) {
		t.Run(fmt.Sprintf("seed %d", *seed+n), func(t *testing.T) { stopUnderLoad(t, *seed+n) })
	}
}

func stopUnderLoad(t *testing.T, seed uint64) {
	d := start(t)
	random := rand.New(rand.NewPCG(seed, 0))
	signal := []syscall.Signal{syscall.SIGTERM, syscall.SIGINT}[seed%2]
	c := &crowd{address: d.address, seed: seed}
	moment := time.After(time.Duration(random.IntN(300)) * time.Millisecond)
	c.begins()
	<-moment
	signalled := time.Now()
	d.signals(t, signal)
	d.says(t, "relay stopping")
	if conn, err := net.Dial("tcp", d.address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connecting after the signal: %v, %v", conn, err)
	}
	last := d.says(t, "relay stopped")
	if code := d.ends(t, drainTime+10*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	took := time.Since(signalled)
	c.all.Wait()
	text, _ := last["frames"].(string)
	sum := check(t, c.users, text)
	t.Logf("%v, ended in %v: %v", signal, took.Round(time.Millisecond), sum)
}

// A second signal is the operator's last word: it does not wait for a client that reads nothing.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	d := start(t, "--stall", "100ms")
	d.floodsTheDeaf(t)
	d.signals(t, syscall.SIGTERM)
	d.says(t, "relay stopping")
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	limit := time.After(drainTime / 2)
	for { // the first second signal may come a moment too soon
		select {
		case state := <-d.state:
			if state.Success() {
				t.Error("it ends as if all were well")
			}
			return
		case <-again.C:
			_ = d.process.Signal(syscall.SIGTERM)
		case <-limit:
			t.Fatal("it goes on waiting")
		}
	}
}

func TestWhoDoesNotReadKeepsNobodyFromBeingTold(t *testing.T) {
	d := start(t, "--stall", "100ms", "--drain-time", "2s")
	flooding := d.floodsTheDeaf(t)
	carol := d.joins(t)
	if err := carol.say(said{typ: frames.TypeLogin}); err != nil {
		t.Fatal(err)
	}
	go carol.listens() // ends with the stream
	<-carol.loggedIn.has
	d.signals(t, syscall.SIGTERM)
	<-carol.over.has
	<-flooding.over.has
	last := d.says(t, "relay stopped")
	if code := d.ends(t, drainTime); code != 0 {
		t.Errorf("exit code %d", code)
	}
	new(sum).ending(t, carol)
	told := sum{codes: map[string]int{}}
	told.ending(t, flooding)
	for _, h := range flooding.heard {
		if h.number > 0 && h.code > 0 {
			told.refused++
			told.codes[h.code.String()]++
		}
	}
	text, _ := last["frames"].(string)
	if parts := accounts.FindStringSubmatch(text); parts != nil {
		told.delivered, _ = strconv.Atoi(parts[2]) // which the deaf have not seen
	}
	told.compare(t, text)
}

func TestKillLeavesNobodyHanging(t *testing.T) {
	d := start(t)
	c := &crowd{address: d.address, seed: 1}
	c.begins()
	busy := time.NewTicker(time.Millisecond)
	defer busy.Stop()
	for c.took() < 1<<20 {
		<-busy.C
	}
	if err := d.process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.all.Wait()
	for _, u := range c.users {
		if errors.Is(u.err, os.ErrDeadlineExceeded) {
			t.Error(u.err)
		}
	}
}

// floodsTheDeaf makes somebody send without end to somebody who does not read, and waits until the relay has noticed. It returns who sends.
func (d *daemon) floodsTheDeaf(t *testing.T) *user {
	t.Helper()
	flooding, deaf := d.joins(t), d.joins(t)
	_ = deaf.conn.SetReadBuffer(16 << 10)
	flood := &talk{
		Rand: rand.New(rand.NewPCG(1, 0)),
		user: flooding, peer: deaf, asks: true, batches: math.MaxInt, window: math.MaxInt, buffer: 256 << 10, longest: frames.MaxPayload,
	}
	go flood.lives() // ends with the daemon
	accept := &talk{user: deaf, peer: flooding}
	err := errors.Join(deaf.say(said{typ: frames.TypeLogin}), deaf.next(), deaf.next(), deaf.say(accept.frame(frames.TypeAccept, flooding.key, 8)))
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-flooding.busy.has:
	case <-time.After(patience):
		t.Fatal("nobody is told BUSY")
	}
	return flooding
}

// joins connects somebody for the whole test.
func (d *daemon) joins(t *testing.T) *user {
	t.Helper()
	u, err := connect(d.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = u.conn.Close() })
	return u
}

// crowd is the load: pairs that talk to each other as fast as they can until the relay stops, and others who come and go.
type crowd struct {
	address string // of the relay
	seed    uint64
	all     sync.WaitGroup

	mu    sync.Mutex
	users []*user // everybody who may have sent a frame from user to user
}

const (
	pairs  = 10
	guests = 2 // at a time: pairs who come, say something, and leave
)

func (c *crowd) begins() {
	for i := range uint64(pairs) {
		c.all.Go(func() { c.pair(rand.New(rand.NewPCG(c.seed, 1+i)), false) })
	}
	for i := range uint64(guests) {
		c.all.Go(func() {
			random := rand.New(rand.NewPCG(c.seed, 100+i))
			for c.pair(random, true) { // ends with the daemon
			}
		})
	}
	c.all.Go(c.knock)
}

// pair lets two users talk until both connections are over; false if the daemon is not there.
func (c *crowd) pair(random *rand.Rand, guests bool) bool {
	alice, err := connect(c.address)
	if err != nil {
		return false
	}
	defer func() { _ = alice.conn.Close() }()
	bob, err := connect(c.address)
	if err != nil {
		return false
	}
	defer func() { _ = bob.conn.Close() }()
	c.mu.Lock()
	c.users = append(c.users, alice, bob)
	c.mu.Unlock()
	// More under way than that fills the kernels, and who reads slowly then has not read all of it when the relay waits no longer.
	ours := &talk{user: alice, peer: bob, asks: true, batches: math.MaxInt, window: 64 << 10, buffer: 256 << 10}
	theirs := &talk{user: bob, peer: alice, batches: math.MaxInt, window: 64 << 10, buffer: 256 << 10}
	switch {
	case guests:
		ours.leaves, ours.batches = true, random.IntN(5)
		theirs.leaves, theirs.batches = true, random.IntN(5)
	case random.IntN(2) == 0: // a flood
		ours.window, ours.longest = math.MaxInt, frames.MaxPayload
		theirs.batches, theirs.buffer = random.IntN(5), 32<<10
	}
	var both sync.WaitGroup
	for _, k := range []*talk{ours, theirs} {
		k.Rand = rand.New(rand.NewPCG(random.Uint64(), 0))
		both.Go(k.lives)
	}
	both.Wait()
	return true
}

// took is how many bytes have come to all of them.
func (c *crowd) took() (n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range c.users {
		n += u.took.Load()
	}
	return n
}

// knock logs in again and again, and leaves at once.
func (c *crowd) knock() {
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C { // ends with the daemon
		u, err := connect(c.address)
		if err != nil {
			return
		}
		_ = u.say(said{typ: frames.TypeLogin})
		_ = u.conn.Close()
	}
}

// talk is what a user does. What waits for somebody who goes on sending fits into the buffer of their operating system:
// else they would have half a second to read all of it, when the relay stops (docs/protocol.md, "Closing").
type talk struct {
	*rand.Rand
	*user
	peer    *user
	asks    bool // for the session; the peer accepts
	batches int  // how many it sends
	window  int  // how many bytes may be under way to the peer when it sends one
	longest int  // payload, now and then; most have less than 2 KiB
	buffer  int  // bytes for what comes
	leaves  bool // having sent all; the others stay until the stream ends
	sent    int  // bytes to the peer
}

// lives talks and listens until the stream has ended.
func (k *talk) lives() {
	_ = k.conn.SetReadBuffer(k.buffer)
	if k.IntN(4) == 0 { // somebody slow
		k.in = bufio.NewReader(slowly{k.conn, 4<<10 + k.IntN(16<<10), time.NewTicker(time.Millisecond).C})
	}
	go k.listens() // ends with the stream
	if err := k.talks(); err == nil && k.leaves {
		k.left = true
		_ = k.conn.CloseWrite()
	}
	<-k.over.has
}

// errOver says that there is nobody to talk to any more.
var errOver = errors.New("over")

func (k *talk) talks() error {
	if err := k.opens(); err != nil {
		return err
	}
	stubborn := k.IntN(4) == 0 // once told, goes on sending until it cannot
	for range k.batches {
		if over := k.holdsBack(); over && !stubborn {
			return errOver
		}
		if err := k.say(k.batch()...); err != nil {
			return err
		}
	}
	return nil
}

// holdsBack waits until there is room on the way to the peer. It reports whether the relay is about to go.
func (k *talk) holdsBack() (over bool) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-k.told.has:
			return true
		case <-k.over.has:
			return true
		default:
		}
		if k.sent-int(k.peer.took.Load()) <= k.window {
			return false
		}
		<-tick.C
	}
}

// opens logs in, and opens the session.
func (k *talk) opens() error {
	if err := k.say(said{typ: frames.TypeLogin}); err != nil {
		return err
	}
	if err := k.until(k.loggedIn.has); err != nil {
		return err
	}
	if !k.asks {
		if err := k.until(k.asked); err != nil {
			return err
		}
		return k.say(k.frame(frames.TypeAccept, k.peer.key, 8))
	}
	select {
	case <-k.peer.loggedIn.has:
	case <-k.peer.over.has:
		return errOver
	}
	if err := k.say(k.frame(frames.TypeStart, k.peer.key, 8)); err != nil {
		return err
	}
	return k.until(k.opened.has)
}

func (k *talk) until(c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-k.over.has:
		return errOver
	}
}

// batch is some frames to be sent at once: mostly Messages, and mostly short ones.
func (k *talk) batch() (list []said) {
	size := func(most int) int { return 8 + k.IntN(most-8) }
	for range 1 + k.IntN(40) {
		switch k.IntN(100) {
		case 0: // again, for a new key
			list = append(list, k.frame(frames.TypeStart, k.peer.key, size(frames.MaxSealed)))
		case 1: // to nobody
			list = append(list, k.frame(frames.TypeMessage, freshKey(), size(1000)))
		case 2:
			list = append(list, k.frame(frames.TypeMessage, k.peer.key, size(max(2000, k.longest-len(k.peer.key)))))
		default:
			list = append(list, k.frame(frames.TypeMessage, k.peer.key, size(1000)))
		}
	}
	if k.IntN(20) == 0 {
		list = append(list, k.frame(frames.TypeStart, freshKey(), 8)) // the answer takes a moment
	}
	select {
	case <-k.asked:
		list = append(list, k.frame(frames.TypeAccept, k.peer.key, 8))
	default:
	}
	return list
}

func (k *talk) frame(t frames.Type, to frames.Key, size int) said {
	if bytes.Equal(to, k.peer.key) {
		k.sent += size
	}
	return said{t, string(to), size}
}
