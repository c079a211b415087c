package main

import "time"

// watch follows the memory and the open files of a process, and keeps the most of each.
type watch struct {
	server        *process
	memory, files float64 // MiB, and how many
	end, ended    chan struct{}
}

const watchEvery = 200 * time.Millisecond

// watch begins to watch the process.
func (p *process) watch() *watch {
	w := &watch{server: p, end: make(chan struct{}), ended: make(chan struct{})}
	go w.run() // ends with stop
	return w
}

func (w *watch) run() {
	defer close(w.ended)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		w.look()
		select {
		case <-w.end:
			return
		case <-tick.C:
		}
	}
}

func (w *watch) look() {
	now, _ := w.server.memory()
	w.memory = max(w.memory, float64(now)/mib)
	w.files = max(w.files, float64(w.server.descriptors()))
}

// stop ends watching, and returns the most there was.
func (w *watch) stop() (memory, files float64) {
	close(w.end)
	<-w.ended
	w.look()
	return w.memory, w.files
}
