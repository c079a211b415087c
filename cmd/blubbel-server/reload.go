package main

import (
	"os"

	"github.com/sirupsen/logrus"
)

// reloader is something that is read again at SIGHUP. If it cannot be used the old one stays, and the error says why.
type reloader struct {
	what   string
	reload func() error
}

// reload has everything read again at each signal, until it is over.
func reload(signals <-chan os.Signal, over <-chan struct{}, log *logrus.Entry, list []reloader) {
	for {
		select {
		case <-signals:
		case <-over:
			return
		}
		if len(list) == 0 {
			log.Info("SIGHUP: there is nothing to read again")
		}
		for _, r := range list {
			if err := r.reload(); err != nil {
				log.WithField("what", r.what).WithError(err).Warn("SIGHUP: cannot be used; the old one stays")
			} else {
				log.WithField("what", r.what).Info("SIGHUP: reloaded")
			}
		}
	}
}
