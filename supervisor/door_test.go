package supervisor_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// As many silent connections as the relay takes keep others out for no longer than they may be silent.
func TestSilentConnectionsMakeRoomInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		relay, err := supervisor.New(supervisor.Config{EarlyRefusal: supervisor.EarlyRefusal{From: 5, Percent: 100, All: 5}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := relay.Spawn(supervisor.NewSystem(supervisor.Defaults().Log).Root, "relay"); err != nil {
			t.Fatal(err)
		}
		door := make(entrance)
		served := make(chan error)
		go func() { served <- relay.Serve(context.Background(), door) }() // ends with the relay
		for range 5 {
			enter(door)
		}
		comes := func() (told []frames.Type) {
			<-time.After(time.Second)
			p := enter(door)
			p.says(wire(frames.TypeLogin, keys[honest]), nil)
			synctest.Wait()
			_ = p.out.Close()
			<-p.ended
			for _, f := range p.heard {
				told = append(told, frames.Type(f[0]))
			}
			return told
		}
		began := time.Now()
		for told := comes(); len(told) != 1 || told[0] != frames.TypeLogin; told = comes() {
			if len(told) != 1 || told[0] != frames.TypeError || time.Since(began) > time.Minute {
				t.Fatalf("told %v after %v", told, time.Since(began))
			}
		}
		if took := time.Since(began); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("let in after %v", took)
		}
		if err := relay.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		<-time.After(2 * time.Second) // Proto.Actor counts dead letters for a second
	})
}
