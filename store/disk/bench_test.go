package disk

import (
	"sync/atomic"
	"testing"

	"github.com/mdeiml/blubbel-server/store/storetest"
)

func BenchmarkPin(b *testing.B) {
	s := opened(b, b.TempDir(), Options{})
	defer closed(b, s)
	var n atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.Pin(storetest.Key(int(n.Add(1))), storetest.Midnight); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkPinned(b *testing.B) {
	s := opened(b, b.TempDir(), Options{})
	defer closed(b, s)
	const keys = 1000
	for n := range keys {
		pinned(b, s, n, storetest.Midnight)
	}
	for name, from := range map[string]int{"known": 0, "unknown": keys} {
		b.Run(name, func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				if _, ok, err := s.Pinned(storetest.Key(from + n%keys)); err != nil || ok != (from == 0) {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
