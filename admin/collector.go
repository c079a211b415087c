package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mdeiml/blubbel-server/actors"
	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// Collector has a relay's metrics. Whoever has several relays in one registry wraps each with labels of its own, see [prometheus.WrapRegistererWith].
type Collector struct{ relay *supervisor.Relay }

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns the metrics of a relay.
func NewCollector(relay *supervisor.Relay) *Collector { return &Collector{relay} }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("blubbel_"+name, help, labels, nil)
}

// The metrics. Frames are StartSession, AcceptSession and Message on connections that are logged in.
var (
	framesTaken     = describe("frames_taken_total", "Frames that were read whole.")
	framesDelivered = describe("frames_delivered_total", "Frames that were written whole to their recipient.")
	framesRefused   = describe("frames_refused_total", "Frames that were refused, by the code their sender was told.", "code")
	framesInFlight  = describe("frames_in_flight", "Frames that were taken, and neither delivered nor refused so far.")
	framesMislaid   = describe("frames_mislaid_total", "Frames that the relay mislaid, and refused nevertheless. Each is a bug.")
	bytesTaken      = describe("frames_taken_bytes_total", "Bytes of the frames that were read whole.")
	bytesDelivered  = describe("frames_delivered_bytes_total", "Bytes of the frames that were delivered.")
	settleSeconds   = describe("frame_settle_seconds", "From when a frame was read whole until it was delivered or refused.")

	connections    = describe("connections", "Connections there are.", "transport", "state")
	accepted       = describe("connections_accepted_total", "Connections that were accepted, those that were then turned away included.", "transport")
	turnedAway     = describe("connections_turned_away_total", "Connections that were closed at once, before anything was read.", "reason")
	closed         = describe("connections_closed_total", "Connections that have ended, by why, and by the code the client was told.", "reason", "code")
	addresses      = describe("addresses", "Addresses that connections come from: of IPv4, and /64 networks of IPv6.")
	mostOfAddress  = describe("address_most_connections", "Connections from the address with most.")
	stuck          = describe("connections_stuck", "Connections whose client does not keep up at the moment.")
	window         = describe("window_bytes", "Memory that connections hold, of at most the window for each.")
	logins         = describe("logins_total", "Logins, by what was proved, and how.", "kind")
	loginsRefused  = describe("logins_refused_total", "Logins that were refused, by the code the client was told.", "code")
	takeovers      = describe("takeovers_total", "Logins that took the place of another connection's, by proof.")
	keysPinned     = describe("keys_pinned", "Keys that open only to proof.")
	keysNotPinned  = describe("keys_not_pinned_total", "Logins with proof whose key was not pinned, for want of room.")
	users          = describe("users", "Keys of which the relay knows something at the moment, by whether their user is connected.", "state")
	sessions       = describe("sessions", "Sessions that are open.")
	sessionsOpened = describe("sessions_opened_total", "Sessions that were opened.")
	crashes        = describe("actor_crashes_total", "Crashes, by what kind of actor. After each it is restarted, resumed, or its connection closed.", "actor")
	mailboxes      = describe("mailbox_messages", "Messages that wait in the actors' mailboxes.")
	stopping       = describe("stopping", "1 when the relay is stopping.")
)

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	s := c.relay.Stats()
	m := metrics(to)
	m.frames(&s)
	m.connections(&s)
	m.users(&s)
	for kind, n := range s.Crashes {
		m.count(crashes, n, string(kind))
	}
	m.is(mailboxes, s.Queue)
	is := 0
	if s.Stopping {
		is = 1
	}
	m.is(stopping, is)
}

// metrics is where they go.
type metrics chan<- prometheus.Metric

func (m metrics) count(what *prometheus.Desc, n uint64, labels ...string) {
	m <- prometheus.MustNewConstMetric(what, prometheus.CounterValue, float64(n), labels...)
}

func (m metrics) is(what *prometheus.Desc, n int, labels ...string) {
	m <- prometheus.MustNewConstMetric(what, prometheus.GaugeValue, float64(n), labels...)
}

// What has not happened yet is 0, and not left out: a rate begins with the first.
func (m metrics) frames(s *supervisor.Stats) {
	a := &s.Account
	m.count(framesTaken, a.Taken.Frames)
	m.count(framesDelivered, a.Delivered.Frames)
	for code := frames.Code(1); code <= frames.LastCode; code++ {
		m.count(framesRefused, a.Refused[code].Frames, code.String())
	}
	m.is(framesInFlight, int(a.InFlight.Frames)) //nolint:gosec // as many as windows hold
	m.count(framesMislaid, a.DeadLetters)
	m.count(bytesTaken, a.Taken.Bytes)
	m.count(bytesDelivered, a.Delivered.Bytes)

	l := &s.Latencies
	buckets, total := map[float64]uint64{}, uint64(0)
	for i, n := range l.Counts {
		total += n
		if i < len(l.Bounds) {
			buckets[l.Bounds[i].Seconds()] = total
		}
	}
	m <- prometheus.MustNewConstHistogram(settleSeconds, total, l.Total.Seconds(), buckets)
}

func (m metrics) connections(s *supervisor.Stats) {
	for transport, n := range s.Accepted {
		m.count(accepted, n, transport)
		for _, state := range actors.ConnectionStates {
			m.is(connections, s.Connections[supervisor.Place{Transport: transport, State: state}], transport, state)
		}
	}
	for reason, n := range s.TurnedAway {
		m.count(turnedAway, n, reason)
	}
	for _, c := range s.Counts.Closed {
		m.count(closed, c.Count, c.Ending.String(), codeOf(c.Code))
	}
	m.is(addresses, s.Spread.Addresses)
	m.is(mostOfAddress, s.Spread.Most)
	m.is(stuck, s.Stuck)
	m.is(window, int(s.Window))
}

func (m metrics) users(s *supervisor.Stats) {
	for kind, n := range s.Counts.Logins {
		m.count(logins, n, kind.String())
	}
	for code := frames.Code(1); code <= frames.LastCode; code++ {
		m.count(loginsRefused, s.Counts.LoginsRefused[code], code.String())
	}
	m.count(takeovers, s.Counts.Takeovers)
	m.is(keysPinned, s.Pins)
	m.count(keysNotPinned, s.Counts.Unpinned)
	for _, state := range actors.UserStates {
		m.is(users, s.Users[state], state)
	}
	m.is(sessions, s.Sessions)
	m.count(sessionsOpened, s.Counts.Sessions)
}
