package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestLimitsOfAProcess(t *testing.T) {
	const heading = "Limit                     Soft Limit           Hard Limit           Units     \n"
	for text, want := range map[string]uint64{
		heading + "Max core file size        0                    unlimited            bytes     \nMax open files            1024                 524288               files     \n": 1024,
		heading + "Max open files            unlimited            unlimited            files     \n":                                                                                 1<<64 - 1,
		heading:          0,
		"Max open files": 0,
		"":               0,
	} {
		if is := parseLimits(text); is != want {
			t.Errorf("%q: %d, want %d", text, is, want)
		}
	}
	p := lookAtProcess(os.Getpid(), true, nil)
	if p.files == 0 || p.files != ownFiles() || p.name == "" || p.owner != accountOf(os.Getuid()) {
		t.Errorf("%+v, and own files %d", p, ownFiles())
	}
}

func TestLimitsOfAControlGroup(t *testing.T) {
	root := t.TempDir()
	limit := func(group, text string) {
		if err := os.MkdirAll(filepath.Join(root, group), 0o700); err != nil {
			t.Fatal(err)
		}
		replace(t, filepath.Join(root, group, "memory.max"), text)
	}
	limit("a", "3000\n")
	limit("a/b", "max\n")
	limit("a/b/c", "5000\n")
	limit("d", "max\n")
	for group, want := range map[string]uint64{"/": 0, "/a": 3000, "/a/b": 3000, "/a/b/c": 3000, "/d": 0, "/nowhere": 0, "/a/nowhere": 3000, "/../../a": 3000} {
		if is := groupLimit(root, group); is != want {
			t.Errorf("%s: %d, want %d", group, is, want)
		}
	}
	if m := lookAtMemory(os.Getpid()); m.machine < 64<<20 {
		t.Errorf("%+v", m)
	}
}

func TestWhoListensInTheTable(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F40 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 102 1 0000000000000000 100 0 0 10 0
   2: 00000000:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 103 1 0000000000000000 100 0 0 10 0
   3: 00000000000000000000000001000000:1F40 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 104 1
   4: 0000000000000000FFFF00000100007F:1F42 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 105 1
   5: nonsense:1F40 x 0A
`
	for text, want := range map[string][]string{
		"127.0.0.1:8000": {"101"}, "127.0.0.2:8000": nil, "[::1]:8000": {"104"}, "0.0.0.0:8000": {"101", "104"}, ":8000": {"101", "104"},
		"192.0.2.1:8001": {"103"}, "127.0.0.1:8002": {"105"}, "127.0.0.1:8003": nil, "relay.test:8000": {"101", "104"},
	} {
		if is := listenersAt(table, at(t, text)); !slices.Equal(is, want) {
			t.Errorf("%s: %v, want %v", text, is, want)
		}
	}
}

func TestWhoListensInTheTableOfUnix(t *testing.T) {
	const table = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01   101 /run/a b.sock
0000000000000000: 00000003 00000000 00000000 0001 03 102 /run/a b.sock
0000000000000000: 00000002 00000000 00010000 0001 01 103
0000000000000000: 00000002 00000000 00010000 0001 01 104 /run/b.sock
`
	for path, want := range map[string][]string{"/run/a b.sock": {"101"}, "/run/b.sock": {"104"}, "/b.sock": nil, "": nil} {
		if is := listenersOn(table, path); !slices.Equal(is, want) {
			t.Errorf("%s: %v, want %v", path, is, want)
		}
	}
}

func TestWhoListensHere(t *testing.T) {
	for _, where := range []string{"127.0.0.1:0", "[::1]:0"} {
		ln, err := net.Listen("tcp", where)
		if err != nil {
			t.Log(err) // there may be no IPv6
			continue
		}
		if h := holderOf(at(t, ln.Addr().String())); h.pid != os.Getpid() || h.name == "" {
			t.Errorf("%s: %+v", ln.Addr(), h)
		}
		_ = ln.Close()
		if h := holderOf(at(t, ln.Addr().String())); h.pid != 0 {
			t.Errorf("%s: %+v, which is closed", ln.Addr(), h)
		}
	}
}
