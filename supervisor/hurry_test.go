package supervisor

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhoHasAllTheTimeThereIsIsNotHurried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), math.MaxInt64)
		defer cancel()
		for before := range 2 {
			select {
			case <-untilHurry(ctx, time.Now(), before):
				t.Error("hurried at once")
			case <-time.After(365 * 24 * time.Hour):
			}
		}
	})
}
