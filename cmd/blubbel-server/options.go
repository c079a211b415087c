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
	"github.com/mdeiml/blubbel-server/listener"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// options are all the settings: their names, their defaults, and what --help says about them. Those with reload=yes change in a relay that
// runs, see live.
type options struct {
	listening
	LogLevel    string        `help:"Least level that is logged: ${enum}." enum:"trace,debug,info,warn,error" default:"info" set:"reload=yes"`
	LogFormat   string        `help:"How log lines look: ${enum}." enum:"text,json" default:"text"`
	RateLimits  string        `help:"Limits by rate and by client address: ${enum}. Off switches off all of those below." enum:"on,off" default:"on" set:"reload=yes"`
	SeedRawKeys bool          `help:"Also take the raw 128-byte keys of the first server."`
	DrainTime   time.Duration `help:"When it is told to stop: how long to wait until everything under way is settled." default:"10s"`
	certificates
	access
	stateFolder
	administration
	limits `set:"reload=yes"`
}

// Help implements kong.HelpProvider.
func (options) Help() string {
	return "Each setting is a flag, an environment variable (--log-level is BLUBBEL_LOG_LEVEL), or a key in the file that --config names " +
		"(log-level: info), and is used in this order. Several values of one have spaces between them in a variable, and are a list in the file.\n\n" +
		"It logs to standard error. SIGHUP has it read all of this again. SIGINT or SIGTERM stop it: what was under way is settled, clients are " +
		"told, and it exits with 0; a second signal ends it at once. What keeps it from starting is one line, and exit code 1."
}

// Validate implements kong.Validatable. Whatever can be wrong, and is noticed without opening anything, is noticed here.
func (o options) Validate() error {
	if len(o.Listen) == 0 {
		return &invalid{"listen", " is empty; name an address, or leave it out"}
	}
	if err := o.checkTLS(); err != nil {
		return &conflict{err, isOfTLS}
	}
	if err := o.listening.check(); err != nil {
		return &conflict{err, isOfListening}
	}
	if err := o.stateFolder.Validate(); err != nil {
		return err
	}
	if err := o.administration.check(); err != nil {
		return err
	}
	if o.DrainTime < 10*time.Millisecond {
		return &invalid{"drain-time", fmt.Sprintf(" is %v; it must be at least 10ms", o.DrainTime)}
	}
	c, err := o.config(nil)
	if err == nil {
		_, err = supervisor.New(c)
	}
	return ofSetting(err)
}

// checkTLS looks whether listeners and certificates go together.
func (o options) checkTLS() error {
	if err := o.certificates.check(o.Listen); err != nil || len(o.ACME) == 0 {
		return err
	}
	return listener.Authority{Directory: o.ACMEDirectory, Domains: o.ACME}.Validate()
}

// isOfTLS reports whether a setting has to do with that.
func isOfTLS(flag *kong.Flag) bool {
	return flag.Name == "listen" || flag.Group != nil && flag.Group.Key == "tls"
}

// Run implements the command.
func (o options) Run(ctx context.Context, c *commands, k *kong.Context, s streams) error {
	return serve(ctx, o, newLive(c, k), s.err)
}

// config returns what the settings say about the relay, but for what is read from files.
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
		home.allowed, err = readAllowed(o.AllowKeys, keys(c), log)
		if err != nil {
			return nil, err
		}
		c.Allow = home.allowed.allows
	}
	return supervisor.New(c)
}

// keys are those that may log in, by their form.
func keys(c supervisor.Config) frames.Keys {
	return frames.Keys{MinBits: c.MinKeyBits, MaxBits: c.MaxKeyBits, SeedRaw: c.SeedRawKeys}
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
	log.SetLevel(o.level())
	return logrus.NewEntry(log), newScribe(log, w).close
}

// level is the least level that is logged.
func (o options) level() logrus.Level {
	level, err := logrus.ParseLevel(o.LogLevel)
	if err != nil { // the setting allows only levels there are
		return logrus.InfoLevel
	}
	return level
}

// version is the module's, as the build knows it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
