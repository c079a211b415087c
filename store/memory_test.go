package store_test

import (
	"testing"

	"github.com/mdeiml/blubbel-server/store"
	"github.com/mdeiml/blubbel-server/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Conform(t, func(*testing.T) store.Store { return store.NewMemory() })
}
