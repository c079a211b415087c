package listener

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
)

// lookEvery is how long a change of the files may go unnoticed while clients come.
const lookEvery = time.Second

// Files is a certificate, the chain behind it, and its key, in two files of PEM. They are read again when they have changed; what
// cannot be used leaves the old in place. Connections that there are go on as they are.
type Files struct {
	certificate, key string
	current          atomic.Pointer[tls.Certificate]
	expiry

	looking sync.Mutex // guards what follows
	looked  time.Time
	seen    [2]os.FileInfo // when they were last read; nil for one that was not there
}

// LoadFiles reads them. An error says what to do about it.
func LoadFiles(certificate, key string, log *logrus.Entry) (*Files, error) {
	f := &Files{
		certificate: certificate, key: key,
		expiry: expiry{log: log, advice: "renew it, and put it in its file: that is read again by itself"},
	}
	if err := f.Reload(); err != nil {
		return nil, err
	}
	f.watch(f.current.Load())
	return f, nil
}

// Certificate implements Source. Whoever comes first after a second looks at the files; the others do not wait for that.
func (f *Files) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if f.looking.TryLock() {
		f.look()
		f.looking.Unlock()
	}
	certificate := f.current.Load()
	f.watch(certificate)
	return certificate, nil
}

// Reload reads the files now. If they cannot be used the old certificate stays, and the error says why.
func (f *Files) Reload() error {
	f.looking.Lock()
	defer f.looking.Unlock()
	return f.read(f.stat())
}

// look reads the files again if they have changed.
func (f *Files) look() {
	now := time.Now()
	if now.Sub(f.looked) < lookEvery {
		return
	}
	f.looked = now
	is := f.stat()
	if same(is[0], f.seen[0]) && same(is[1], f.seen[1]) {
		return
	}
	if err := f.read(is); err != nil {
		f.log.WithError(err).Warn("the TLS certificate's files have changed and cannot be used; the old certificate stays")
		return
	}
	f.log.WithField("until", f.current.Load().Leaf.NotAfter.Format(time.RFC3339)).Info("the TLS certificate has changed")
}

// read reads the files, which looked like this just before: what is written meanwhile looks different the next time.
func (f *Files) read(is [2]os.FileInfo) error {
	f.seen = is
	certificate, err := f.pair()
	if err != nil {
		return err
	}
	f.current.Store(certificate)
	if key := is[1]; key != nil && key.Mode().Perm()&0o007 != 0 && runtime.GOOS != "windows" {
		f.log.WithFields(logrus.Fields{"file": f.key, "advice": "chmod o= " + f.key}).Warn("everybody on this machine can read the TLS key")
	}
	return nil
}

func (f *Files) stat() (is [2]os.FileInfo) {
	for i, name := range []string{f.certificate, f.key} {
		if info, err := os.Stat(name); err == nil { // else reading it fails, and says why
			is[i] = info
		}
	}
	return is
}

// same reports whether a file is what it was, as far as one can see without reading it.
func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// pair reads a certificate that can be used now.
func (f *Files) pair() (*tls.Certificate, error) {
	var text [2][]byte
	for i, name := range []string{f.certificate, f.key} {
		var err error
		if text[i], err = os.ReadFile(name); err != nil { //nolint:gosec // the operator names the files
			return nil, fmt.Errorf("cannot read the TLS certificate or its key: %w", err)
		}
		block, _ := pem.Decode(text[i])
		switch {
		case block == nil:
			return nil, fmt.Errorf("%s is not PEM: it has no line such as -----BEGIN CERTIFICATE----- or -----BEGIN PRIVATE KEY-----", name)
		case block.Type == "ENCRYPTED PRIVATE KEY" || bytes.Contains(text[i], []byte("Proc-Type: 4,ENCRYPTED")):
			return nil, fmt.Errorf("the key in %s is encrypted; give it without a passphrase, and to be read by the relay alone", name)
		}
	}
	pair, err := tls.X509KeyPair(text[0], text[1])
	if err != nil {
		return nil, fmt.Errorf("%s and %s are not a TLS certificate and its key: %w", f.certificate, f.key, err)
	}
	switch now := time.Now(); {
	case now.After(pair.Leaf.NotAfter):
		return nil, fmt.Errorf("the TLS certificate in %s expired on %s; renew it", f.certificate, pair.Leaf.NotAfter.Format(time.DateOnly))
	case now.Before(pair.Leaf.NotBefore):
		return nil, fmt.Errorf("the TLS certificate in %s is valid from %s on; wait, or look at this machine's clock",
			f.certificate, pair.Leaf.NotBefore.Format(time.RFC3339))
	}
	return &pair, nil
}
