package main

import (
	"errors"
	"testing"

	"github.com/mdeiml/blubbel-server/frames"
)

func TestNoBadKeyIsAKey(t *testing.T) {
	n := number(goodBytes)
	if err := frames.DefaultKeys().Check(spki(rsaAlgorithm, n, []byte(usualExponent))); err != nil {
		t.Fatalf("what all of them are made from is bad itself: %v", err)
	}
	longest, names := 0, map[string]bool{}
	for _, k := range hostileKeys() {
		var r *frames.Refusal
		if err := frames.DefaultKeys().Check(k.key); !errors.As(err, &r) || r.Code != frames.BadKey {
			t.Errorf("%s: %v", k.name, err)
		}
		if len(k.key) > frames.MaxLoginPayload {
			t.Errorf("%s has %d bytes, more than a Login may have", k.name, len(k.key))
		}
		if names[k.name] {
			t.Errorf("twice %s", k.name)
		}
		names[k.name] = true
		longest = max(longest, len(k.key))
	}
	if longest != frames.MaxLoginPayload {
		t.Errorf("the longest has %d bytes", longest)
	}
}
