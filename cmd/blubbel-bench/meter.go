package main

import "time"

// meter measures an interval of a load.
type meter struct {
	server  *process
	senders []*sender

	began             time.Time
	delivered         uint64
	theirs, ours, all time.Duration
}

func startMeter(server *process, senders []*sender) *meter {
	m := &meter{server: server, senders: senders}
	m.theirs, m.ours, m.all = server.cpu(), ownCPU(), server.machine()
	m.began, m.delivered = time.Now(), delivered(senders)
	return m
}

// basics writes into a result what is measured of every load, and returns the processor time of the relay, and ours.
func (m *meter) basics(r *result) (theirs, ours time.Duration) {
	n, took := float64(delivered(m.senders)-m.delivered), time.Since(m.began)
	theirs, ours = m.server.cpu()-m.theirs, ownCPU()-m.ours
	r.Seconds = took.Seconds()
	r.Messages = n / took.Seconds()
	r.Others = max(0, (m.server.machine()-m.all-ours-theirs).Seconds()) / took.Seconds()
	return theirs, ours
}

// stop writes what was measured into a result.
func (m *meter) stop(r *result) {
	theirs, ours := m.basics(r)
	n := r.Messages * r.Seconds
	now, peak := m.server.memory()
	r.BodyMB = r.Messages * float64(r.SizeBytes) / 1e6
	r.RSS, r.PeakRSS = float64(now)/mib, float64(peak)/mib
	if n > 0 {
		r.ServerCPU, r.OwnCPU = micros(theirs)/n, micros(ours)/n
	}
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
