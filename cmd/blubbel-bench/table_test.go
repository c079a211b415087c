package main

import (
	"bytes"
	"testing"
)

func TestTheTableIsAligned(t *testing.T) {
	var b bytes.Buffer
	printTable(&b, []*result{
		{Command: "pairs", Cell: "pairs 1, 64 B", Messages: 1234567.8, ServerCPU: 0.314159, Account: &account{Refused: map[string]uint64{"BUSY": 12345}}},
		{Command: "pairs", Cell: "pairs 16, 16 KiB", Messages: 99.94, OneWay: &quantiles{P50: 12.34, P99: 100.4, P999: 4321, Max: 9.994}},
		{Command: "idle", Cell: "idle 10", Logins: 5, Notes: []string{"a note"}, Error: "it broke", Account: &account{Lost: 1}},
	})
	const want = `                      msg/s  one way us: p50  p99  p99.9   max  server us/msg  refused  cut off  lost  bad
pairs 1, 64 B     1,234,568                -    -      -     -           0.31   12,345        0     0    0
pairs 16, 16 KiB       99.9             12.3  100  4,321  9.99              -        -        -     -    -

         logins/s  refused  cut off  lost  bad
idle 10      5.00        0        0     1    0
* idle 10: a note
* idle 10: ended early: it broke
`
	if b.String() != want {
		t.Errorf("\n%s", b.String())
	}
}

func TestNumbersAreGrouped(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
