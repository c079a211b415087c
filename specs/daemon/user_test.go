package daemon

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// user is somebody on one connection, and everything said and heard on it.
type user struct {
	key  frames.Key
	conn *net.TCPConn
	in   *bufio.Reader

	// These are the writer's, until the connection is over.

	said []said // the frames that the operating system took whole: the first is request number 1
	left bool   // it has shut its writing side of its own accord

	// These are the reader's, until the connection is over.

	heard []heard
	err   error // how the stream ended

	loggedIn, opened, busy, told, over moment

	asked chan struct{} // has one in it when the peer's request is to be accepted
	took  atomic.Int64  // bytes of bodies that have come
}

// said is a frame that was sent.
type said struct {
	typ  frames.Type
	to   string // a key
	size int    // of the body
}

// heard is a frame that came. Number is the sender's request number, which stands in every body; of an Error it is the
// one of the frame refused.
type heard struct {
	typ    frames.Type
	from   string // a key
	number uint64
	size   int
	code   frames.Code
}

// moment is something that happens once.
type moment struct {
	once sync.Once
	has  chan struct{} // closed when it has happened
}

func (m *moment) happens() { m.once.Do(func() { close(m.has) }) }

func newMoment() moment { return moment{has: make(chan struct{})} }

// connect opens a connection for somebody with a key of their own. Nothing on it hangs for ever.
func connect(address string) (*user, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	tcp := conn.(*net.TCPConn)
	if err := tcp.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		return nil, err
	}
	return &user{
		key: freshKey(), conn: tcp, in: bufio.NewReaderSize(tcp, 64<<10), asked: make(chan struct{}, 1),
		loggedIn: newMoment(), opened: newMoment(), busy: newMoment(), told: newMoment(), over: newMoment(),
	}, nil
}

// freshKey is a public key whose private half nobody has: the relay cannot tell.
func freshKey() frames.Key {
	modulus, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 2047)) // never fails
	modulus.SetBit(modulus, 0, 1).SetBit(modulus, 2047, 1)
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: modulus, E: 65537})
	if err != nil {
		panic(err)
	}
	return der
}

// noise is what bodies are made of.
var noise = func() []byte {
	b := make([]byte, 2*frames.MaxPayload)
	_, _ = rand.Read(b) // never fails
	return b
}()

// body is what follows the number in the body of a frame.
func body(number uint64, size int) []byte { return noise[number%frames.MaxPayload:][:size-8] }

// say sends frames in one write, and takes note of those that went out whole.
func (u *user) say(list ...said) error {
	var stream []byte
	var ends []int
	for i, s := range list {
		number := uint64(len(u.said) + i + 1)
		stream = s.append(stream, u.key, number)
		ends = append(ends, len(stream))
	}
	n, err := u.conn.Write(stream)
	for i, end := range ends {
		if n >= end {
			u.said = append(u.said, list[i])
		}
	}
	return err
}

func (s said) append(b []byte, self frames.Key, number uint64) []byte {
	if s.typ == frames.TypeLogin {
		return frames.Login{Key: self}.Append(b)
	}
	b = frames.AppendHeader(b, s.typ, len(s.to)+s.size)
	b = binary.BigEndian.AppendUint64(append(b, s.to...), number)
	return append(b, body(number, s.size)...)
}

// listens hears everything until the stream ends.
func (u *user) listens() {
	for u.err == nil {
		u.err = u.next()
	}
	u.over.happens()
}

// next hears the next frame.
func (u *user) next() error {
	raw, err := frames.Read(u.in, frames.MaxPayload+frames.MaxGrowth)
	if err != nil {
		return err
	}
	return u.hears(raw)
}

// hears takes note of a frame. An error says that it is not what anybody sent.
func (u *user) hears(raw frames.Raw) error {
	f, err := frames.DefaultKeys().Decode(frames.FromRelay, raw)
	if err != nil {
		return err
	}
	h := heard{typ: f.Type()}
	var from frames.Key
	var text []byte
	switch f := f.(type) {
	case frames.LoginAccepted:
		u.loggedIn.happens()
	case frames.Error:
		h.number, h.code = f.Number, f.Code
		switch {
		case h.number == 0:
			u.told.happens()
		case h.code == frames.Busy:
			u.busy.happens()
		}
	case frames.StartSession:
		from, text = f.Peer, f.Sealed
		select {
		case u.asked <- struct{}{}:
		default: // once is enough
		}
	case frames.AcceptSession:
		from, text = f.Peer, f.Sealed
		u.opened.happens()
	case frames.Message:
		from, text = f.Peer, f.Body
	}
	if from != nil {
		if len(text) < 8 {
			return fmt.Errorf("a %v of %d bytes", h.typ, len(text))
		}
		h.from, h.number, h.size = string(from), binary.BigEndian.Uint64(text), len(text)
		if !bytes.Equal(text[8:], body(h.number, h.size)) {
			return fmt.Errorf("a %v that was changed on its way", h.typ)
		}
	}
	u.took.Add(int64(h.size))
	u.heard = append(u.heard, h)
	return nil
}

// slowly is a reader that takes little at a time.
type slowly struct {
	from  io.Reader
	most  int
	ticks <-chan time.Time
}

func (s slowly) Read(b []byte) (int, error) {
	<-s.ticks
	return s.from.Read(b[:min(len(b), s.most)])
}

// login is a Login with this key, which the user is not said to have said.
func (*user) login(key []byte) []byte { return frames.Login{Key: key}.Append(nil) }

// heardLast returns an error if what was heard last is anything else.
func (u *user) heardLast(t frames.Type, code frames.Code) error {
	if len(u.heard) == 0 {
		return errors.New("nothing was heard")
	}
	if last := u.heard[len(u.heard)-1]; last.typ != t || last.code != code {
		return fmt.Errorf("heard %v %v, not %v %v", last.typ, last.code, t, code)
	}
	return nil
}
