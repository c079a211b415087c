package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/alecthomas/kong"
	"github.com/sirupsen/logrus"
	"golang.org/x/term"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// options are the flags, their defaults, and what --help says about them.
type options struct {
	LogLevel    string           `help:"Least level that is logged: ${enum}." enum:"trace,debug,info,warn,error" default:"info"`
	LogFormat   string           `help:"How log lines look: ${enum}." enum:"text,json" default:"text"`
	RateLimits  string           `help:"Limits by rate and by client address: ${enum}. Off switches off all of those below." enum:"on,off" default:"on"`
	SeedRawKeys bool             `help:"Also take the raw 128-byte keys of the first server."`
	DrainTime   time.Duration    `help:"When it is told to stop: how long to wait until everything under way is settled." default:"10s"`
	Version     kong.VersionFlag `help:"Print the version."`
	listening
	certificates
	access
	stateFolder
	limits
}

// Validate implements kong.Validatable.
func (o options) Validate() error {
	if err := o.certificates.check(o.Listen); err != nil {
		return err
	}
	if err := o.listening.check(); err != nil {
		return err
	}
	if err := o.stateFolder.Validate(); err != nil {
		return err
	}
	if o.DrainTime < 10*time.Millisecond {
		return fmt.Errorf("--drain-time is %v; it must be at least 10ms", o.DrainTime)
	}
	return nil
}

// Run implements the command.
func (o options) Run(ctx context.Context, s streams) error { return serve(ctx, o, s.err) }

// config returns what the flags say about the relay, but for what is read from files.
func (o options) config(log *logrus.Entry) (supervisor.Config, error) {
	c, err := o.limits.config()
	c.Log, c.SeedRawKeys, c.NoRateLimits, c.LoginProof = log, o.SeedRawKeys, o.RateLimits == "off", o.LoginProof
	return c, err
}

// relay makes the relay that the options ask for.
func (o options) relay(log *logrus.Entry, home *state) (*supervisor.Relay, error) {
	c, err := o.config(log)
	if err != nil {
		return nil, err
	}
	c.Identity, c.Store = home.identity, home.store
	if o.AllowKeys != "" {
		home.allowed, err = readAllowed(o.AllowKeys, frames.Keys{MinBits: c.MinKeyBits, MaxBits: c.MaxKeyBits, SeedRaw: c.SeedRawKeys}, log)
		if err != nil {
			return nil, err
		}
		c.Allow = home.allowed.allows
	}
	return supervisor.New(c)
}

// logger returns what to log to, and what is to be called when all is logged.
func (o options) logger(w io.Writer) (entry *logrus.Entry, written func()) {
	log := logrus.New()
	if o.LogFormat == "json" {
		log.SetFormatter(&logrus.JSONFormatter{})
	} else {
		file, ok := w.(*os.File) // which logrus would see, if it wrote there itself
		log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, ForceColors: ok && term.IsTerminal(int(file.Fd()))})
	}
	level, err := logrus.ParseLevel(o.LogLevel)
	if err == nil { // the flag allows only levels there are
		log.SetLevel(level)
	}
	return logrus.NewEntry(log), newScribe(log, w).close
}

// version is what --version prints: the module's, as the build knows it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return "blubbel-server " + info.Main.Version
	}
	return "blubbel-server (devel)"
}
