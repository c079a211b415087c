package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/sirupsen/logrus"
)

// reloader is something that is read again at SIGHUP. If it cannot be used the old one stays, and the error says why.
type reloader struct {
	what   string
	reload func() error
}

// reloadAtHangup has everything read again at each SIGHUP, which does not end the process any more, until what it returns is called.
func reloadAtHangup(log *logrus.Entry, list []reloader) (over func()) {
	hangups, quit := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	go func() { // ends with quit
		for {
			select {
			case <-hangups:
				reload(log, list)
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

func reload(log *logrus.Entry, list []reloader) {
	if len(list) == 0 {
		log.Info("SIGHUP: there is nothing to read again")
	}
	for _, r := range list {
		log := log.WithField("what", r.what)
		if err := r.reload(); err != nil {
			log.WithError(err).Warn("SIGHUP: cannot be used; the old one stays")
		} else {
			log.Info("SIGHUP: reloaded")
		}
	}
}
