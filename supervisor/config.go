package supervisor

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/actors"
	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/listener"
	"github.com/mdeiml/blubbel-server/store"
)

// Config is everything that can be set about a relay. The zero value of a field stands for its default; settings.go has the
// defaults of all limits, and what they may be. Fields marked (R) are limits by rate or by client address: they may be [Off].
// An address is one of IPv4, or a /64 network of IPv6; connections from elsewhere, as through a Unix socket, have none.
type Config struct {
	// Log takes the relay's log. Default: nothing is logged.
	Log *logrus.Entry

	// Identity is who the relay is: it proves itself with this key, to clients that say Hello. Default: a fresh one, which no client can
	// know from before.
	Identity ed25519.PrivateKey
	// Store keeps which keys have proved possession, see [store.Store]. The relay does not close it. Default: a store in memory, which forgets
	// with the process.
	Store store.Store
	// LoginProof says which logins need a proof of possession. Default: [ProofSticky].
	LoginProof ProofPolicy
	// Allow says which keys, by their fingerprint, may log in, and then every login needs proof. It is asked for each login, from several
	// goroutines, and is to answer at once. Default: every key may.
	Allow func(key store.Fingerprint) bool

	// NoRateLimits switches off every limit that is marked (R).
	NoRateLimits bool

	// MinKeyBits and MaxKeyBits are the sizes of RSA keys that may log in, in bits. Longer keys than 4096 bits would not fit
	// in front of what is sent to them.
	MinKeyBits, MaxKeyBits int
	// SeedRawKeys also takes the raw 128-byte keys of the first server. Default: no.
	SeedRawKeys bool

	// MaxPayload and MaxLoginPayload are how many bytes the payload of a frame may have, after login and before.
	MaxPayload, MaxLoginPayload int
	// MaxSealed is how many bytes the sealed part of a StartSession or an AcceptSession may have.
	MaxSealed int

	// LoginTime is how long a client may take to log in, from when its connection was accepted. FrameTime is how long it may
	// take to complete a frame, from its first byte. Silence is how long there may be no byte in either direction. Who takes
	// longer is told TIMEOUT, and closed. While the relay itself does not read, the last two stand still.
	LoginTime, FrameTime, Silence time.Duration
	// PingInterval is for how long nothing may be heard of a client that said Hello until it is pinged. After two more it is told TIMEOUT, and
	// closed. Silence does not concern it.
	PingInterval time.Duration
	// KeepAlive is after how long a silent TCP connection is probed, KeepAliveProbes times every KeepAliveInterval. UserTimeout is
	// how long what was sent may go unacknowledged (Linux). Then the connection is over.
	KeepAlive, KeepAliveInterval time.Duration
	KeepAliveProbes              int
	UserTimeout                  time.Duration

	// Window is how many bytes of the relay's memory one connection may hold. Not more than this is held when its reader goes
	// on reading; what that brings may take two buffers (128 KiB each) and the books of its frames (80 KiB at most) more.
	Window int
	// Stall is for how long a socket may take less than 64 KiB, while messages wait to be written to it, until those and what
	// comes after them are refused with BUSY. Who was stalled gets 100 ms instead for a minute.
	Stall time.Duration
	// WriteDeadline is for how long a socket may take nothing, while something waits to be written to it, until it is
	// closed.
	WriteDeadline time.Duration

	// AskedBy is how many session requests of one user may be pending at others; AskedOf, how many of strangers may be pending
	// with one user; AskedOfPerAddress (R), how many of those from one address, which has that share of StartRateTo, too.
	AskedBy, AskedOf, AskedOfPerAddress int
	// Sessions is how many sessions one user may have; a pending request of its own counts as one.
	Sessions int

	// UsersAway is how many users may be away while their sessions are kept, each for AwayTime. Then the sessions of whoever is away for
	// longest end.
	UsersAway int
	AwayTime  time.Duration
	// Pins is how many keys may be pinned. When there are as many, a new key may prove, and is not pinned.
	Pins int
	// Takeovers (R) is from how many takeovers of a key within a minute on each further one is answered a second later.
	Takeovers int

	// Connections is how many connections there may be in all. Default: 10,000, or what the process's file limit allows less 64.
	Connections int
	// OnlinePerAddress (R) and AnonymousPerAddress (R) are how many connections there may be from one address that are logged in,
	// and that are not.
	OnlinePerAddress, AnonymousPerAddress int
	// EarlyRefusal (R) refuses connections at random when many are not logged in.
	EarlyRefusal EarlyRefusal

	// FrameRate (R) and ByteRate (R) are how much is read from one connection. Who sends more is read later; nothing is refused.
	// The bursts are at least 512 frames and 128 KiB, what is read at once.
	FrameRate, ByteRate Rate
	// StartRate (R) is how often one user may send StartSession, and StartRatePerAddress (R) how often the users of one address;
	// beyond, it is refused with RATE_LIMITED. StartRateTo (R) is how often strangers may ask one user; beyond, with UNAVAILABLE.
	StartRate, StartRatePerAddress, StartRateTo Rate
	// ProofRate (R) is how many proofs from one address are looked at. Beyond, they wait, within the LoginTime.
	ProofRate Rate

	// PenaltyBadLogin, PenaltyBadProof and PenaltyLateLogin are what a login that cannot be read, a proof that is not valid, and a login that did
	// not come in time, add to the penalty of their address. It runs out with time, and never takes longer than PenaltyMost. From PenaltyFrom (R) on, nobody
	// else may connect from that address until it has run out.
	PenaltyBadLogin, PenaltyBadProof, PenaltyLateLogin, PenaltyFrom, PenaltyMost time.Duration

	// Crashes is how many crashes of a user's actor within CrashWindow are tolerated before its connection is closed and its
	// sessions end; its next login has to wait, longer each time.
	Crashes     int
	CrashWindow time.Duration

	// Props is asked for every actor the relay spawns, and returns the Props to spawn it with: the given ones, or a clone, say
	// with a receiver middleware of the host's. A middleware that panics is a crash of its actor. Sender middleware that panics
	// is beyond what supervision can mend. Default: they are used as they are.
	Props func(kind Kind, props *actor.Props) *actor.Props
}

// ProofPolicy says which logins need a proof of possession.
type ProofPolicy string

// The policies.
const (
	// ProofSticky takes logins without proof of keys that have never proved possession, or not within the last year.
	ProofSticky ProofPolicy = "sticky"
	// ProofRequired takes none.
	ProofRequired ProofPolicy = "required"
)

// Kind is a kind of actor of the relay.
type Kind string

// The kinds. The top actor's own is not asked for.
const (
	KindRelay       Kind = "relay"
	KindRegistry    Kind = "registry"
	KindUser        Kind = "user"
	KindConnections Kind = "connections"
	KindConnection  Kind = "connection"
)

var kinds = []Kind{KindRelay, KindRegistry, KindUser, KindConnections, KindConnection}

// Defaults returns the Config that the zero value stands for.
func Defaults() Config { return Config{}.withDefaults() }

// withDefaults fills in what is not set, and switches off what is to be off.
func (c Config) withDefaults() Config {
	if c.Log == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		c.Log = logrus.NewEntry(silent)
	}
	if c.Props == nil {
		c.Props = func(_ Kind, props *actor.Props) *actor.Props { return props }
	}
	if c.Identity == nil {
		_, c.Identity, _ = ed25519.GenerateKey(rand.Reader) // never fails
	}
	if c.Store == nil {
		c.Store = store.NewMemory()
	}
	c.LoginProof = cmp.Or(c.LoginProof, ProofSticky)
	c.setDefaults()
	return c
}

// setDefaults fills in the limits that are not set, and switches off those that are to be off.
func (c *Config) setDefaults() {
	for _, s := range c.settings() {
		s.setDefault()
		if c.NoRateLimits {
			s.switchOff()
		}
	}
}

// withLimits returns the Config with the limits of another.
func (c Config) withLimits(of Config) Config {
	of.setDefaults()
	limits := of.settings()
	for i, s := range c.settings() {
		s.copy(limits[i])
	}
	c.NoRateLimits = of.NoRateLimits
	return c
}

// validate says what is wrong with a Config whose defaults are filled in: which field, and what it may be.
func (c Config) validate() error {
	if len(c.Identity) != ed25519.PrivateKeySize {
		return &InvalidError{"Identity", fmt.Sprintf("is %d bytes long; it must be an Ed25519 private key, of 64", len(c.Identity))}
	}
	if c.LoginProof != ProofSticky && c.LoginProof != ProofRequired {
		return &InvalidError{"LoginProof", fmt.Sprintf("is %q; it must be %q or %q", c.LoginProof, ProofSticky, ProofRequired)}
	}
	for _, s := range c.settings() {
		if err := s.check(); err != nil {
			return err
		}
	}
	return nil
}

// limits returns what the actors keep to. There the zero value is no limit.
func (c *Config) limits() actors.Limits {
	return actors.Limits{
		Keys:    frames.Keys{MinBits: c.MinKeyBits, MaxBits: c.MaxKeyBits, SeedRaw: c.SeedRawKeys},
		Payload: c.MaxPayload, LoginPayload: c.MaxLoginPayload, Sealed: c.MaxSealed,
		Login: c.LoginTime, Frame: c.FrameTime, Silence: c.Silence, PingInterval: c.PingInterval,
		AwayTime: c.AwayTime, Takeovers: max(c.Takeovers, 0),
		Window: c.Window, Stall: c.Stall, WriteDeadline: c.WriteDeadline,
		AskedBy: c.AskedBy, AskedOf: c.AskedOf, AskedOfByAddress: max(c.AskedOfPerAddress, 0), Sessions: c.Sessions, Pins: c.Pins,
		Frames: c.FrameRate.limit(), Bytes: c.ByteRate.limit(),
		Starts: c.StartRate.limit(), StartsTo: c.StartRateTo.limit(),
	}
}

func (c *Config) trust() *actors.Trust {
	return &actors.Trust{
		Identity: c.Identity, Store: c.Store, Required: c.LoginProof == ProofRequired, Allow: c.Allow,
	}
}

func (c *Config) door() actors.DoorLimits {
	limits := actors.DoorLimits{
		Connections:         c.Connections,
		OnlinePerAddress:    max(c.OnlinePerAddress, 0),
		AnonymousPerAddress: max(c.AnonymousPerAddress, 0),
		Early:               c.EarlyRefusal.limit(),
		Starts:              c.StartRatePerAddress.limit(),
		Proofs:              c.ProofRate.limit(),
	}
	if c.PenaltyFrom != Off {
		limits.Penalties = actors.Penalties{
			BadLogin: c.PenaltyBadLogin, BadProof: c.PenaltyBadProof, LateLogin: c.PenaltyLateLogin,
			From: c.PenaltyFrom, Most: c.PenaltyMost,
		}
	}
	return limits
}

func (c *Config) tcp() listener.TCP {
	return listener.TCP{
		KeepAlive: c.KeepAlive, Interval: c.KeepAliveInterval, Probes: c.KeepAliveProbes, UserTimeout: c.UserTimeout,
	}
}
