package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mdeiml/blubbel-server/admin"
)

// ctl asks a relay that runs, where it is shown.
type ctl struct {
	Admin adminAddress `placeholder:"ADDRESS" help:"Where the relay is shown, as it was started with: unix:///path, or host:port."`
	stateFolder
	JSON bool `name:"json" help:"Print what the relay answers, as it is."`

	Status ctlStatus `cmd:"" help:"Print how it is."`
	Tree   ctlTree   `cmd:"" help:"Print its actors that live, those with most to do first."`
	Recent ctlRecent `cmd:"" help:"Print the last connections that have ended, and the last crashes."`
	Drain  ctlDrain  `cmd:"" help:"Stop it in good order: what is under way is settled, and clients are told."`
	Unpin  ctlUnpin  `cmd:"" help:"Have it forget that a key has proved possession, so that it opens without proof again."`
}

type (
	ctlStatus struct{}
	ctlTree   struct {
		Children int `default:"50" help:"At most so many of each actor's."`
	}
	ctlRecent struct{}
	ctlDrain  struct{}
	ctlUnpin  struct {
		Fingerprint fingerprint `arg:"" help:"The key's fingerprint: 64 hexadecimal digits, as blubbel id prints them."`
	}
)

// Run implements the command.
func (ctlStatus) Run(ctx context.Context, c *commands, s streams) error {
	return inquire(ctx, c, s, "/api/status", printStatus)
}

// Run implements the command.
func (t ctlTree) Run(ctx context.Context, c *commands, s streams) error {
	return inquire(ctx, c, s, fmt.Sprintf("/api/tree?children=%d", t.Children), printTree)
}

// Run implements the command.
func (ctlRecent) Run(ctx context.Context, c *commands, s streams) error {
	return inquire(ctx, c, s, "/api/recent", printRecent)
}

// Run implements the command.
func (ctlDrain) Run(ctx context.Context, c *commands, s streams) error {
	if _, err := c.Ctl.ask(ctx, http.MethodPost, "/api/drain"); err != nil {
		return err
	}
	_, err := fmt.Fprintln(s.out, "the relay is stopping; it ends when everything under way is settled")
	return err
}

// Run implements the command.
func (u ctlUnpin) Run(ctx context.Context, c *commands, s streams) error {
	text := hex.EncodeToString(u.Fingerprint[:])
	if _, err := c.Ctl.ask(ctx, http.MethodPost, "/api/unpin?fingerprint="+text); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.out, unpinned, text)
	return err
}

// inquire asks, and prints the answer.
func inquire[T any](ctx context.Context, c *commands, s streams, path string, tell func(io.Writer, T)) error {
	body, err := c.Ctl.ask(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	if c.Ctl.JSON {
		_, err = s.out.Write(body)
		return err
	}
	var answer T
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("the relay at %s answers what is not understood; is it one of this version? %w", c.Ctl.Admin, err)
	}
	tell(s.out, answer)
	return nil
}

// askTime is how long an answer may take.
const askTime = 10 * time.Second

// ask asks the relay.
func (c ctl) ask(ctx context.Context, method, path string) (body []byte, err error) {
	if c.Admin == "" {
		return nil, errors.New("say where the relay is shown, as it was started with: with --admin, BLUBBEL_ADMIN, or the file of --config")
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	socket, isUnix := c.Admin.socket()
	base := url.URL{Scheme: "http", Host: string(c.Admin)}
	if isUnix {
		base.Host = "localhost"
	}
	request, err := http.NewRequestWithContext(ctx, method, base.String()+path, nil)
	if err != nil {
		return nil, err
	}
	if token, err := os.ReadFile(filepath.Join(c.State, "admin-token")); err == nil && !isUnix {
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if isUnix {
			network, address = "unix", socket
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}}}
	defer client.CloseIdleConnections()
	answer, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("cannot ask the relay at %s: %w; is it running, and was it started with this --admin?", c.Admin, errors.Unwrap(err))
	}
	defer func() { _ = answer.Body.Close() }()
	if body, err = io.ReadAll(answer.Body); err != nil {
		return nil, fmt.Errorf("the relay at %s stopped answering: %w", c.Admin, err)
	}
	if answer.StatusCode == http.StatusOK {
		return body, nil
	}
	return nil, c.refused(answer.StatusCode, body)
}

// refused says why there is no answer.
func (c ctl) refused(status int, body []byte) error {
	var failure admin.Failure
	switch {
	case json.Unmarshal(body, &failure) != nil || failure.Error == "":
		return fmt.Errorf("what answers at %s is no relay's --admin: it says %d %s", c.Admin, status, http.StatusText(status))
	case status == http.StatusUnauthorized:
		failure.Error = "this needs the token; name the relay's state folder with --state, as a user who may read what is in it"
	}
	return fmt.Errorf("the relay at %s: %s", c.Admin, failure.Error)
}
