package supervisor_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/store"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// hung is a store whose disk does not answer.
type hung struct {
	*store.Memory
	answers chan struct{}
}

func (h hung) Pin(store.Fingerprint, time.Time) error { <-h.answers; return nil }

// A disk that hangs keeps neither a login waiting for longer than it may take, nor the relay from stopping.
func TestADiskThatHangsHangsNobody(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		disk := hung{store.NewMemory(), make(chan struct{})}
		relay, err := supervisor.New(supervisor.Config{Store: disk})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := relay.Spawn(supervisor.NewSystem(supervisor.Defaults().Log).Root, "relay"); err != nil {
			t.Fatal(err)
		}
		door := make(entrance)
		served := make(chan error)
		go func() { served <- relay.Serve(context.Background(), door) }() // ends with the relay
		server, client := net.Pipe()
		door <- server
		hello := frames.Hello{Elements: frames.Elements{Nonce: make([]byte, frames.NonceSize)}}
		_, _ = client.Write(hello.Append(nil))
		welcome, err := frames.Read(client, 1<<17)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := frames.NewGreeting(hello.Append(nil)[frames.HeaderSize:], welcome.Payload, frames.Binding{}).Prove(private)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = client.Write(proof.Append(nil))
		_ = client.SetReadDeadline(time.Now().Add(time.Minute)) // a login may take 10 s in all
		if f, err := frames.Read(client, 1<<17); err != nil || f.Type != frames.TypeError {
			t.Errorf("the answer to the login is %v, %v", f, err)
		}
		_ = client.SetReadDeadline(time.Time{})
		go func() { _, _ = io.Copy(io.Discard, client) }()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		began, stopped := time.Now(), make(chan struct{})
		go func() {
			_ = relay.Stop(ctx)
			close(stopped)
		}()
		select {
		case <-stopped:
		case <-time.After(time.Hour):
			t.Errorf("Stop with 10 s to go has not returned after %v", time.Since(began))
		}
		close(disk.answers)
		<-stopped
		if err := <-served; err != nil {
			t.Error(err)
		}
		<-time.After(2 * time.Second)
	})
}
