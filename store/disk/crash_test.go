package disk

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/mdeiml/blubbel-server/store/storetest"
)

// pins pins from several goroutines until stop, and knows which were said to be kept.
type pins struct {
	t    *testing.T
	s    *Store
	mu   sync.Mutex
	next int
	kept []int
	stop chan struct{}
	all  sync.WaitGroup
	more chan struct{} // one for each pin
}

func startPins(t *testing.T, s *Store, from int) *pins {
	p := &pins{t: t, s: s, next: from, stop: make(chan struct{}), more: make(chan struct{}, 1<<20)}
	for range 8 {
		p.all.Go(p.run)
	}
	return p
}

func (p *pins) run() {
	for {
		select {
		case <-p.stop:
			return
		default:
		}
		p.mu.Lock()
		n := p.next
		p.next++
		p.mu.Unlock()
		if err := p.s.Pin(storetest.Key(n), storetest.Midnight); err != nil {
			p.t.Error(err)
		}
		p.mu.Lock()
		p.kept = append(p.kept, n)
		p.mu.Unlock()
		p.more <- struct{}{}
	}
}

// after waits for so many pins more, and returns all that were kept up to now.
func (p *pins) after(n int) []int {
	for range n {
		<-p.more
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]int(nil), p.kept...)
}

func (p *pins) end() {
	close(p.stop)
	p.all.Wait()
}

// lost counts which of these are not there.
func lost(t *testing.T, s *Store, kept []int) (n int) {
	for _, k := range kept {
		_, ok, err := s.Pinned(storetest.Key(k))
		if err != nil {
			t.Error(err)
		}
		if !ok {
			n++
		}
	}
	if s.Pins() < len(kept)-n {
		t.Errorf("%d pins are counted, and %d there", s.Pins(), len(kept)-n)
	}
	return n
}

// cuts runs a store on a disk that loses what is not synced, and lets the power fail while pins are written. It returns how many pins
// were lost that were said to be kept. Each life begins with what the one before has left, half of them with a store that was closed.
func cuts(t *testing.T, seed, lives int, lies bool) (gone int) {
	random := rand.New(rand.NewPCG(1, uint64(seed))) // the same each time
	mem, next := vfs.NewCrashableMem(), 0
	if err := mem.MkdirAll("/store", 0o700); err != nil {
		t.Fatal(err)
	}
	var before []int
	for range lives {
		files := &badFS{FS: mem}
		s := opened(t, "/store", Options{fs: files})
		gone += lost(t, s, before)
		if random.IntN(2) == 0 {
			closed(t, s)
			s = opened(t, "/store", Options{fs: files})
		}
		if lies {
			nothing := func() error { return nil }
			files.sync.Store(&nothing)
		}
		p := startPins(t, s, next)
		kept := p.after(random.IntN(100))
		cut := mem.CrashClone(cutting(random, lies))
		p.end()
		_ = s.Close() // writes to what was before the cut
		mem, next = cut, p.next
		if before = append(before, kept...); lies {
			before = kept
		}
	}
	return gone
}

// cutting says how much of what was not synced is there after a cut: often nothing, and nothing at all where nothing is synced, because what
// is there in parts may not open.
func cutting(random *rand.Rand, lies bool) (c vfs.CrashCloneCfg) {
	if !lies && random.IntN(2) == 0 {
		c.UnsyncedDataPercent = random.IntN(101)
		c.RNG = rand.New(rand.NewPCG(random.Uint64(), 0))
	}
	return c
}

func TestPowerCutsLoseNoPin(t *testing.T) {
	for round := range *rounds {
		if n := cuts(t, round, 30, false); n > 0 {
			t.Errorf("round %d: %d pins were lost", round, n)
		}
	}
}

// The test before would notice.
func TestPowerCutsLosePinsWithoutSync(t *testing.T) {
	if n := cuts(t, 0, 10, true); n == 0 {
		t.Error("nothing was lost on a disk that does not sync")
	}
}

func TestKillsLoseNoPin(t *testing.T) {
	for round := range *rounds {
		kills(t, uint64(round))
	}
}

// kills kills a process that pins, again and again.
func kills(t *testing.T, seed uint64) {
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(3, seed)) // the same each time
	var kept []int
	for range 8 {
		c := command(dir)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for left := 1 + random.IntN(300); lines.Scan(); left-- {
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatalf("%q", lines.Text())
			}
			if kept = append(kept, n); left == 0 {
				if err := c.Process.Kill(); err != nil {
					t.Error(err)
				}
			}
		}
		if c.Wait() == nil {
			t.Fatal("it was not killed")
		}
		s := opened(t, dir, Options{})
		if n := lost(t, s, kept); n > 0 {
			t.Errorf("%d of %d pins were lost", n, len(kept))
		}
		if t.Failed() {
			break
		}
		closed(t, s)
	}
}

// pinner pins from several goroutines, and prints what is kept, until it is killed.
func pinner(dir string) {
	s, err := Open(dir, Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	out := make(chan int)
	for w := range 8 {
		go func() { // ends with the process
			for n := s.Pins(); ; n++ {
				k := n*8 + w
				if s.Pin(storetest.Key(k), storetest.Midnight) == nil {
					out <- k
				}
			}
		}()
	}
	for k := range out {
		fmt.Println(k) //nolint:forbidigo // for the test that has started us
	}
}
