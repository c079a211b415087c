package daemon

import (
	"flag"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var cycles = flag.Int("cycles", 2000, "how many visitors TestSoak sends to a daemon")

const (
	visitors = 8   // at a time
	samples  = 100 // of what the daemon holds
)

// TestSoak lets visitors come and go, and looks at what the daemon holds then. What it has to let go of must be gone; its memory
// is only told: the garbage collector takes its time.
func TestSoak(t *testing.T) {
	d := start(t)
	before := usageOf(t, d.process.Pid)
	random := rand.New(rand.NewPCG(rand.Uint64(), 0))
	var memory []float64 // KiB
	for range samples {
		d.isVisited(t, random, *cycles/samples)
		memory = append(memory, float64(usageOf(t, d.process.Pid).resident)/(1<<10))
	}
	last := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	after := usageOf(t, d.process.Pid)
	for after.files > before.files && time.Since(last) < 10*time.Second {
		<-tick.C
		after = usageOf(t, d.process.Pid)
	}
	if after.files > before.files {
		t.Errorf("%d files are open, ten seconds after the last client has left; there were %d at first", after.files, before.files)
	}
	all, ours := d.goroutines(t)
	if ours > 0 {
		t.Errorf("%d goroutines still read from clients", ours)
	}
	second := memory[samples/2:]
	t.Logf("%d visits: at first %v; then %v, %d goroutines; memory in the second half: %+.2f KiB per 1,000 visits",
		*cycles, before, after, all, slope(second)*1000*samples/float64(*cycles))
}

// isVisited sends so many visitors, and returns when all have left.
func (d *daemon) isVisited(t *testing.T, random *rand.Rand, times int) {
	t.Helper()
	var all sync.WaitGroup
	var done atomic.Int64
	for range visitors {
		v := &visitor{Rand: rand.New(rand.NewPCG(random.Uint64(), 0)), address: d.address}
		all.Go(func() {
			for done.Add(1) <= int64(times) && !t.Failed() {
				if err := v.visit(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// goroutines ends the daemon, and returns how many goroutines it had, and how many of them were reading from clients.
func (d *daemon) goroutines(t *testing.T) (all, reading int) {
	t.Helper()
	d.signals(t, syscall.SIGQUIT) // on which Go prints them all
	limit := time.After(patience)
	for {
		select {
		case said, ok := <-d.log:
			if !ok {
				return all, reading
			}
			text, _ := said["msg"].(string)
			if strings.HasPrefix(text, "goroutine ") {
				all++
			}
			if strings.Contains(text, "(*reader).run(") {
				reading++
			}
		case <-limit:
			t.Fatal("it does not end")
		}
	}
}

// slope is by how much values grow from one to the next: that of the line with the least squares.
func slope(values []float64) float64 {
	middle, mean := float64(len(values)-1)/2, 0.0
	for _, v := range values {
		mean += v / float64(len(values))
	}
	var above, below float64
	for i, v := range values {
		x := float64(i) - middle
		above += x * (v - mean)
		below += x * x
	}
	return above / below
}
