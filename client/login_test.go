package client

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// TestARefusedLoginSaysWhyThoughTheConnectionEnds has a relay refuse a login and close, before whoever waits for the answer gets to look.
func TestARefusedLoginSaysWhyThoughTheConnectionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		relay, conn := net.Pipe()
		go func() { _, _ = frames.Read(relay, frames.MaxLoginPayload) }() // ends when it has
		c := newClient(conn, Address{}, Options{Unproven: true})
		said := make(chan error)
		go func() { said <- c.Login(t.Context(), testIdentity(t, "alice")) }() // ends with its answer
		synctest.Wait()
		c.mu.Lock()
		if err := c.take(c.link, time.Now(), frames.Error{Code: frames.Limit, Request: frames.TypeLogin, Number: 1}, frames.Raw{Type: frames.TypeError}); err != nil {
			t.Error(err)
		}
		c.end(c.link, ErrDisconnected)
		c.mu.Unlock()
		if err := <-said; !IsRefused(err, frames.Limit) {
			t.Error(err)
		}
		_ = relay.Close()
		_ = c.Close()
	})
}
