package specs_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/sirupsen/logrus"
)

// inOneLine writes a value as a field of a line, in a format of the log.
func inOneLine(format logrus.Formatter, value any) string {
	var b bytes.Buffer
	log := logrus.New()
	log.SetOutput(&b)
	log.SetFormatter(format)
	log.WithField("why", value).Error("a line")
	return b.String()
}

var _ = Describe("Searching the log", func() {
	secret := random(24)
	text := []byte("a secret that ends\nin a \"quote\"")
	ways := map[string]func([]byte) string{
		"as it is":                        func(b []byte) string { return string(b) },
		"in hexadecimal":                  func(b []byte) string { return fmt.Sprintf("%x", b) },
		"in upper-case hexadecimal":       func(b []byte) string { return fmt.Sprintf("%X", b) },
		"in hexadecimal, behind a digit":  func(b []byte) string { return fmt.Sprintf("7%x", b) },
		"in hexadecimal, spaced":          func(b []byte) string { return fmt.Sprintf("% x", b) },
		"in hexadecimal, each with 0x":    func(b []byte) string { return fmt.Sprintf("%# x", b) },
		"as a string in quotes":           func(b []byte) string { return fmt.Sprintf("%q", b) },
		"in quotes, in ASCII":             func(b []byte) string { return fmt.Sprintf("%+q", b) },
		"in quotes, twice":                func(b []byte) string { return fmt.Sprintf("%q", fmt.Sprintf("%q", b)) },
		"in numbers":                      func(b []byte) string { return fmt.Sprintf("%v", b) },
		"in numbers, deep in a structure": func(b []byte) string { return fmt.Sprintf("%+v", struct{ In []any }{[]any{1, b}}) },
		"as Go code":                      func(b []byte) string { return fmt.Sprintf("%#v", b) },
		"as Go code of a string":          func(b []byte) string { return fmt.Sprintf("%#v", string(b)) },
		"in base64":                       base64.StdEncoding.EncodeToString,
		"in base64 for URLs":              base64.URLEncoding.EncodeToString,
		"in base64, behind one byte":      func(b []byte) string { return base64.StdEncoding.EncodeToString(append([]byte{1}, b...)) },
		"in base64, behind two bytes":     func(b []byte) string { return base64.RawURLEncoding.EncodeToString(append([]byte{1, 2}, b...)) },
		"in PEM": func(b []byte) string {
			return string(pem.EncodeToMemory(&pem.Block{Type: "?", Bytes: append(make([]byte, 40), b...)}))
		},
		"in a line of text":             func(b []byte) string { return inOneLine(&logrus.TextFormatter{}, string(b)) },
		"in a line of text, in quotes":  func(b []byte) string { return inOneLine(&logrus.TextFormatter{}, fmt.Sprintf("%q", b)) },
		"in a line of text, in numbers": func(b []byte) string { return inOneLine(&logrus.TextFormatter{}, b) },
		"in a line of JSON":             func(b []byte) string { return inOneLine(&logrus.JSONFormatter{}, b) },
	}
	for way, write := range ways {
		It("finds what is written "+way+", however the text is broken", func() {
			for _, secret := range [][]byte{secret, text} {
				line := "time=12:00 why=" + write(secret) + " done=closed\n"
				for cut := range line {
					for _, with := range []string{"", "\n"} {
						l := &leaks{}
						l.markedAs("it", secret)
						w := l.writer()
						_, _ = io.WriteString(w, line[:cut]+with)
						_, _ = io.WriteString(w, line[cut:])
						Expect(l.leaked()).To(HaveKey("it"), "cut at %d: %q", cut, line)
					}
				}
			}
		})
	}

	It("finds any part of a key that is long enough, and its fingerprint, and says which", func() {
		l := &leaks{}
		key := l.key(freshKey(2048))
		w := l.writer()
		_, _ = fmt.Fprintf(w, "%x\n", []byte(key[100:115]))
		Expect(l.leaked()).To(Equal(map[string]int{"a key": 1}))
		_, _ = fmt.Fprintln(w, key.Hex())
		Expect(l.leaked()).To(Equal(map[string]int{"a key": 1, "a fingerprint": 4}))
	})

	It("finds nothing in what is no secret", func() {
		l := &leaks{}
		l.key(freshKey(4096))
		l.markedAs("of one kind", make([]byte, 100))
		w := l.writer()
		for range 1000 {
			_, _ = fmt.Fprintf(w, "%x %q %v\n", random(100), random(100), make([]byte, 100))
		}
		_, _ = fmt.Fprint(w, freshKey(4096)[:33], ways["in PEM"](freshKey(4096)))
		Expect(l.leaked()).To(BeEmpty())
	})
})
