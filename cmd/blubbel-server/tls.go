package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/listener"
)

// certificates are the flags that say where the certificates of the tls:// and wss:// listeners come from.
type certificates struct {
	TLSCert       string   `name:"tls-cert" group:"tls" placeholder:"FILE" help:"Certificate and the chain behind it, in PEM. Read again when it changes, and at SIGHUP."`
	TLSKey        string   `name:"tls-key" group:"tls" placeholder:"FILE" help:"Its key, in PEM."`
	TLSSelfSigned bool     `name:"tls-self-signed" group:"tls" help:"Make a certificate at start. Only for clients that know the relay by its id."`
	ACME          []string `name:"acme" group:"tls" placeholder:"DOMAIN" sep:"none" help:"Get a certificate for this domain by ACME, and accept the terms of service of who issues it. May be given more than once."`
	ACMEEmail     string   `name:"acme-email" group:"tls" placeholder:"ADDRESS" help:"Where the issuer may write to."`
	ACMEDirectory string   `name:"acme-directory" group:"tls" placeholder:"URL" help:"The issuer, if it is not Let's Encrypt."`
	ACMECA        string   `name:"acme-ca" group:"tls" placeholder:"FILE" help:"Certificates, in PEM, of whom to trust about a private issuer."`
	ACMEHTTP      string   `name:"acme-http" group:"tls" placeholder:"HOST:PORT" help:"Also answer the issuer by HTTP here, which it asks on port 80. Without it, it asks the tls:// or wss:// listener, on port 443."`
}

// check looks whether the flags go together.
func (c certificates) check(where []address) error {
	files := c.TLSCert != "" || c.TLSKey != ""
	sources := 0
	for _, given := range []bool{files, c.TLSSelfSigned, len(c.ACME) > 0} {
		if given {
			sources++
		}
	}
	const one = "one of --tls-cert with --tls-key, --tls-self-signed, or --acme"
	encrypted := slices.ContainsFunc(where, address.encrypted)
	switch {
	case sources > 1:
		return errors.New("there is more than one source of TLS certificates; give " + one)
	case len(c.ACME) == 0 && c.ACMEEmail+c.ACMEDirectory+c.ACMECA+c.ACMEHTTP != "":
		return errors.New("--acme-email, --acme-directory, --acme-ca and --acme-http are for --acme DOMAIN, which is missing")
	case files && (c.TLSCert == "" || c.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key go together; give both")
	case encrypted && sources == 0:
		return errors.New("--listen tls:// or wss:// needs a certificate; give " + one)
	case !encrypted && sources > 0:
		return errors.New("there are TLS certificates, but nobody to use them; give --listen tls://host:port, or wss://host:port/path")
	}
	return nil
}

// encryption is what the listeners of TLS need; its zero is for a relay without any.
type encryption struct {
	source listener.Source
	config *tls.Config
	http   net.Listener // for http-01; or nil
}

// open makes what the flags ask for. What has to be kept goes below the folder.
func (c certificates) open(ctx context.Context, where []address, folder string, log *logrus.Entry) (e encryption, err error) {
	switch {
	case c.TLSCert != "":
		e.source, err = listener.LoadFiles(c.TLSCert, c.TLSKey, log)
	case c.TLSSelfSigned:
		e.source, err = listener.NewSelfSigned(log, hosts(where)...)
	case len(c.ACME) > 0:
		if e.source, err = c.openACME(folder, log); err == nil && c.ACMEHTTP != "" {
			if e.http, err = new(net.ListenConfig).Listen(ctx, "tcp", c.ACMEHTTP); err != nil {
				err = fmt.Errorf("cannot listen on %s, as --acme-http says: %w", c.ACMEHTTP, err)
			}
		}
	default:
		return e, nil
	}
	if err != nil {
		return encryption{}, err
	}
	e.config = listener.TLSConfig(e.source)
	return e, nil
}

func (c certificates) openACME(folder string, log *logrus.Entry) (*listener.ACME, error) {
	authority := listener.Authority{
		Directory: c.ACMEDirectory, Email: c.ACMEEmail, Domains: c.ACME, Folder: acmeFolder(folder),
	}
	if c.ACMECA != "" {
		text, err := os.ReadFile(c.ACMECA)
		if err != nil {
			return nil, fmt.Errorf("--acme-ca: %w", err)
		}
		authority.Roots = x509.NewCertPool()
		if !authority.Roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--acme-ca: there is no certificate in %s; give it as PEM", c.ACMECA)
		}
	}
	return listener.NewACME(authority, log)
}

// acmeFolder is where certificates are kept that ACME brought.
func acmeFolder(state string) string { return filepath.Join(state, "acme") }

// name is what the relay is called by others: by its first certificate of ACME, or as its machine is; empty if that has no name.
func (c certificates) name() string {
	if len(c.ACME) > 0 {
		return c.ACME[0]
	}
	name, _ := os.Hostname() // else it has none
	return name
}

// hosts are the names and addresses under which the listeners of TLS can be reached, as far as one can know.
func hosts(where []address) (list []string) {
	for _, a := range where {
		switch {
		case !a.encrypted():
		case a.anywhere():
			list = append(list, "localhost", "127.0.0.1", "::1")
			if name, err := os.Hostname(); err == nil {
				list = append(list, name)
			}
		default:
			list = append(list, a.host)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// begin gets certificates by ACME, once there are listeners.
func (e encryption) begin(ctx context.Context, log *logrus.Entry) {
	acme, ok := e.source.(*listener.ACME)
	if !ok {
		return
	}
	acme.Run(ctx)
	if e.http == nil {
		return
	}
	log.WithField("listen", e.http.Addr().String()).Info("the ACME server is answered by HTTP")
	go func() { // ends with ctx
		if err := acme.ServeHTTP01(ctx, e.http); err != nil {
			log.WithError(err).Error("cannot answer the ACME server by HTTP any more")
		}
	}()
}

// reloaders are what SIGHUP has read again.
func (e encryption) reloaders() []reloader {
	switch source := e.source.(type) {
	case *listener.Files:
		return []reloader{{"TLS certificate", source.Reload}}
	case *listener.SelfSigned:
		return []reloader{{"TLS certificate", source.Reload}}
	}
	return nil
}
