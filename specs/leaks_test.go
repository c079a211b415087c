package specs_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"unicode/utf8"

	. "github.com/onsi/ginkgo/v2"

	"github.com/mdeiml/blubbel-server/frames"
)

// leaks looks for secrets in logs, as they are written. A secret is found by any 8 of its bytes in a row that begin at a multiple of 8
// (of long ones, at 64 places), in clear, and however Go programs write bytes: in hexadecimal, base64, numbers, or escaped in
// quotes.
type leaks struct {
	mu      sync.RWMutex
	windows map[uint64]string // what they are of
	maybe   [1 << 16]uint64   // a bit for each window, by its hash, for most of what is looked up is not there
	found   map[string]int
	where   []string // the first lines with a secret, quoted
}

// logged is what all relays of the suite log.
var logged = &leaks{}

// mark is in parts and bodies that specs send.
var mark = logged.markedAs("a part or a body", random(32))

// log returns what a logger is to write to: the output of the spec, looked through.
func (l *leaks) log() io.Writer { return io.MultiWriter(GinkgoWriter, l.writer()) }

// markedAs makes b a secret. Windows of few different bytes could be in a log by chance, and are none.
func (l *leaks) markedAs(name string, b []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.windows == nil {
		l.windows, l.found = map[uint64]string{}, map[string]int{}
	}
	for at := 0; at+8 <= len(b); at += max(8, len(b)/512*8) {
		different := map[byte]bool{}
		for _, c := range b[at : at+8] {
			different[c] = true
		}
		if w := binary.BigEndian.Uint64(b[at:]); len(different) > 4 {
			l.windows[w] = name
			h := hashed(w)
			l.maybe[h/64] |= 1 << (h % 64)
		}
	}
	return b
}

// key makes a key a secret, but for what all keys have in common; and its fingerprint.
func (l *leaks) key(k frames.Key) frames.Key {
	fingerprint := k.Fingerprint()
	l.markedAs("a fingerprint", fingerprint[:])
	if common := 33; len(k) > common+8 { // docs/protocol.md has it
		l.markedAs("a key", k[common:len(k)-5])
	}
	return k
}

func random(n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.BigEndian.AppendUint64(b, rand.Uint64())
	}
	return b[:n]
}

func hashed(w uint64) uint64 { return w * 0x9e3779b97f4a7c15 >> (64 - 22) }

// leaked returns how often each kind of secret was found.
func (l *leaks) leaked() map[string]int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return maps.Clone(l.found)
}

func (l *leaks) writer() io.Writer { return &lookout{leaks: l} }

// lookout looks through one log. Each reading of it has the last bytes that it has read, and pays no heed to what it cannot read, such
// as the end of a line: so nothing is hidden by where a log is broken, or by what stands between the bytes.
type lookout struct {
	*leaks
	writing sync.Mutex

	clear   uint64
	escape  []byte // what was read behind a backslash, and that
	hex     uint64
	base64  [2]uint64 // 128 bits
	number  []byte
	numbers uint64
}

// Write implements io.Writer.
func (l *lookout) Write(p []byte) (int, error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	var all map[uint64]bool
	l.mu.RLock()
	see := func(w uint64) {
		if h := hashed(w); l.maybe[h/64]&(1<<(h%64)) != 0 && l.windows[w] != "" {
			if all == nil {
				all = map[uint64]bool{}
			}
			all[w] = true
		}
	}
	for _, c := range p {
		l.inClear(c, see)
		l.inHex(c, see)
		l.inBase64(c, see)
		l.inNumbers(c, see)
	}
	l.mu.RUnlock()
	if all != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		for w := range all {
			l.found[l.windows[w]]++
		}
		if len(l.where) < 10 {
			l.where = append(l.where, fmt.Sprintf("%.2000q", p))
		}
	}
	return len(p), nil
}

// inClear reads bytes as they are, or escaped as in Go and JSON, by any number of backslashes.
func (l *lookout) inClear(c byte, see func(uint64)) {
	put := func(b ...byte) {
		for _, c := range b {
			l.clear = l.clear<<8 | uint64(c)
			see(l.clear)
		}
	}
	if c == '\\' {
		l.escape = append(l.escape[:0], c)
		return
	}
	if len(l.escape) == 0 {
		if c != '\n' && c != '\r' {
			put(c)
		}
		return
	}
	l.escape = append(l.escape, c)
	sizes := map[byte]int{'x': 4, 'u': 6, 'U': 10}
	if len(l.escape) < sizes[l.escape[1]] {
		return
	}
	named := map[byte]byte{'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}
	if of := l.escape[1]; sizes[of] > 0 {
		code, _ := strconv.ParseUint(string(l.escape[2:]), 16, 32)
		if of == 'x' {
			put(byte(code))
		} else {
			put(utf8.AppendRune(nil, rune(code))...)
		}
	} else if control, ok := named[of]; ok {
		put(control)
	} else {
		put(of)
	}
	l.escape = l.escape[:0]
}

// inHex reads pairs of digits, wherever they begin.
func (l *lookout) inHex(c byte, see func(uint64)) {
	digit, ok := hexDigit(c)
	if !ok {
		return
	}
	l.hex = l.hex<<4 | uint64(digit)
	see(l.hex)
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return (c | 0x20) - 'a' + 10, true
	}
	return 0, false
}

// inBase64 reads both alphabets, wherever the bytes begin.
func (l *lookout) inBase64(c byte, see func(uint64)) {
	var six uint64
	switch {
	case c >= 'A' && c <= 'Z':
		six = uint64(c - 'A')
	case c >= 'a' && c <= 'z':
		six = uint64(c-'a') + 26
	case c >= '0' && c <= '9':
		six = uint64(c-'0') + 52
	case c == '+' || c == '-':
		six = 62
	case c == '/' || c == '_':
		six = 63
	default:
		return
	}
	l.base64 = [2]uint64{l.base64[0]<<6 | l.base64[1]>>58, l.base64[1]<<6 | six}
	for shift := 0; shift < 6; shift += 2 {
		see(l.base64[1]>>shift | l.base64[0]<<(64-shift))
	}
}

// inNumbers reads what fmt makes of a []byte: [48 130], and []byte{0x30, 0x82}.
func (l *lookout) inNumbers(c byte, see func(uint64)) {
	if c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' {
		if len(l.number) <= len("0xff") {
			l.number = append(l.number, c)
		}
		return
	}
	if n, err := strconv.ParseUint(string(l.number), 0, 8); err == nil {
		l.numbers = l.numbers<<8 | n
		see(l.numbers)
	}
	l.number = l.number[:0]
}
