package e2e

import (
	"errors"
	"testing"
)

func TestAResumptionComesBackAndKnowsWhatIsThere(t *testing.T) {
	r := Resumption{Step: Asking, Complete: 3, Ahead: 0b1010}
	got, err := ParseResumption(r.Append(nil))
	if err != nil || got != r {
		t.Fatalf("%+v comes back as %+v, %v", r, got, err)
	}
	for number, want := range map[uint64]bool{1: true, 3: true, 4: false, 5: true, 6: false, 7: true, 8: false, 67: false, 68: false, ^uint64(0): false} {
		if r.Has(number) != want {
			t.Errorf("message %d is there: %v", number, !want)
		}
	}
	if last := (Resumption{Ahead: 1 << 63}); !last.Has(64) || last.Has(65) {
		t.Error("the last bit is not that of message 64")
	}
}

func TestAResumptionHasAStepThatThereIs(t *testing.T) {
	for step := range 256 {
		_, err := ParseResumption(Resumption{Step: Step(step)}.Append(nil))
		if taken := err == nil; taken != (step >= 1 && step <= 3) || !taken && !errors.Is(err, ErrMalformed) {
			t.Errorf("step %d: %v", step, err)
		}
	}
}
