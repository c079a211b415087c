package main

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/supervisor"
)

// live is what can change while the relay runs: the log level, the limits, and what is read from files. SIGHUP has all of the configuration
// read again.
type live struct {
	args    []string          // of the command line
	file    string            // of the configuration, or empty
	runs    map[string]string // the value of each setting that is in effect
	relay   *supervisor.Relay
	allowed *allowed // or nil
	files   []reloader
	log     *logrus.Entry
}

// reloader is something that is read again at SIGHUP. If it cannot be used the old one stays, and the error says why.
type reloader struct {
	what   string
	reload func() error
}

// newLive returns what is in effect once the relay has started with this.
func newLive(c *commands, k *kong.Context) *live {
	l := &live{args: k.Args, file: c.ConfigFile, runs: map[string]string{}}
	for _, flag := range settings(k.Model) {
		l.runs[flag.Name] = text(flag)
	}
	return l
}

// text is the value of a setting.
func text(flag *kong.Flag) string { return strings.Join(texts(flag), " ") }

// reloadAtHangup has everything read again at each SIGHUP, which does not end the process any more, until what it returns is called.
func (l *live) reloadAtHangup() (over func()) {
	hangups, quit := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	go func() { // ends with quit
		for {
			select {
			case <-hangups:
				systemd{l.log}.reloading()
				l.reload()
				systemd{l.log}.ready()
			case <-quit:
				return
			}
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(quit)
	}
}

// reload takes what has changed, or nothing at all.
func (l *live) reload() {
	c, k, err := l.read()
	var changes, waiting []*kong.Flag
	if err == nil {
		changes, waiting = l.compare(settings(k.Model))
		err = l.limit(c.Relay, changes)
	}
	if err != nil {
		l.log.WithError(err).Error("SIGHUP: the configuration cannot be used; everything stays as it is")
		return
	}
	logger, level := l.log.Logger, c.Relay.level()
	logger.SetLevel(max(logger.GetLevel(), level)) // whichever says more: the change is told in any case
	for _, flag := range changes {
		l.told(c, k, flag).Info("SIGHUP: a setting has changed")
		l.runs[flag.Name] = text(flag)
	}
	logger.SetLevel(level)
	for _, flag := range waiting {
		l.told(c, k, flag).Warn("SIGHUP: a setting has changed, and needs a restart")
	}
	l.reloadFiles(len(changes)+len(waiting) == 0)
}

// read reads the configuration again.
func (l *live) read() (*commands, *kong.Context, error) {
	if info, err := os.Stat(l.file); l.file != "" && err == nil && !info.Mode().IsRegular() {
		return nil, nil, errors.New(l.file + " is no file that can be read twice")
	}
	return parse(l.args, io.Discard)
}

// compare returns the settings that are not those in effect: which are to change, and which can only with a restart.
func (l *live) compare(flags []*kong.Flag) (changes, waiting []*kong.Flag) {
	for _, flag := range flags {
		switch {
		case l.runs[flag.Name] == text(flag):
		case flag.Tag.Vars["reload"] == "yes":
			changes = append(changes, flag)
		default:
			waiting = append(waiting, flag)
		}
	}
	return changes, waiting
}

// limit has the relay keep to the limits, if anything has changed.
func (l *live) limit(o options, changes []*kong.Flag) error {
	if len(changes) == 0 {
		return nil
	}
	limits, err := o.config(l.log)
	if err != nil {
		return err
	}
	if err := l.relay.SetLimits(limits); err != nil {
		return err
	}
	if l.allowed != nil {
		l.allowed.take(keys(l.relay.Config()))
	}
	return nil
}

// told is what is said of a setting that is not the one in effect.
func (l *live) told(c *commands, k *kong.Context, flag *kong.Flag) *logrus.Entry {
	return l.log.WithFields(logrus.Fields{
		"setting": flag.Name, "old": l.runs[flag.Name], "new": text(flag), "origin": c.origin(k, flag.Name).place,
	})
}

// reloadFiles reads everything again that the settings name.
func (l *live) reloadFiles(nothingElse bool) {
	if nothingElse && len(l.files) == 0 {
		l.log.Info("SIGHUP: nothing has changed")
	}
	for _, r := range l.files {
		log := l.log.WithField("what", r.what)
		if err := r.reload(); err != nil {
			log.WithError(err).Warn("SIGHUP: cannot be used; the old one stays")
		} else {
			log.Info("SIGHUP: reloaded")
		}
	}
}
