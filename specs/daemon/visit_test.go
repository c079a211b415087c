package daemon

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"

	"github.com/mdeiml/blubbel-server/frames"
)

// visitor connects to a relay, does something, and leaves, well or badly.
type visitor struct {
	*rand.Rand
	address string
	here    []*user
}

// visits are what a visitor may do. An error says that the relay did not answer as it should.
var visits = []func(*visitor) error{
	(*visitor).isSilent, (*visitor).logsIn, (*visitor).begins, (*visitor).isRefused, (*visitor).isThereAlready, (*visitor).opensSession, (*visitor).floods,
}

// visit does one of them, and leaves.
func (v *visitor) visit() error {
	return errors.Join(visits[v.IntN(len(visits))](v), v.leave())
}

// leave ends all connections.
func (v *visitor) leave() (err error) {
	for _, u := range v.here {
		err = errors.Join(err, v.leaves(u))
	}
	v.here = nil
	return err
}

// leaves ends a connection: closed, torn off, or in good order. Then the relay has to end it, too.
func (v *visitor) leaves(u *user) error {
	defer func() { _ = u.conn.Close() }()
	switch v.IntN(3) {
	case 0:
		return u.conn.SetLinger(0)
	case 1:
		_ = u.conn.CloseWrite()
		if _, err := io.Copy(io.Discard, u.conn); errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return nil
}

func (v *visitor) connects() (*user, error) {
	u, err := connect(v.address)
	if err == nil {
		v.here = append(v.here, u)
	}
	return u, err
}

func (v *visitor) isSilent() error {
	_, err := v.connects()
	return err
}

func (v *visitor) joins() (*user, error) {
	u, err := v.connects()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(u.say(said{typ: frames.TypeLogin}), u.next()); err != nil {
		return nil, err
	}
	return u, u.heardLast(frames.TypeLogin, 0)
}

func (v *visitor) logsIn() error {
	_, err := v.joins()
	return err
}

// begins sends half of a frame, logged in or not.
func (v *visitor) begins() error {
	u, err := v.connects()
	if err != nil {
		return err
	}
	stream := u.login(u.key)
	if v.IntN(2) == 0 {
		stream = frames.AppendHeader(stream, frames.TypeMessage, frames.MaxPayload)
		stream = append(stream, noise[:v.IntN(frames.MaxPayload)]...)
	} else {
		stream = stream[:v.IntN(len(stream))]
	}
	_, err = u.conn.Write(stream)
	return err
}

// isRefused logs in with what is no key.
func (v *visitor) isRefused() error {
	u, err := v.connects()
	if err != nil {
		return err
	}
	if _, err := u.conn.Write(u.login(noise[:v.IntN(300)])); err != nil {
		return err
	}
	return errors.Join(u.next(), u.heardLast(frames.TypeError, frames.BadKey))
}

// isThereAlready logs in twice with one key.
func (v *visitor) isThereAlready() error {
	first, err := v.joins()
	if err != nil {
		return err
	}
	second, err := v.connects()
	if err != nil {
		return err
	}
	if _, err := second.conn.Write(second.login(first.key)); err != nil {
		return err
	}
	return errors.Join(second.next(), second.heardLast(frames.TypeError, frames.KeyInUse))
}

// opensSession leaves an open session behind.
func (v *visitor) opensSession() error {
	_, _, err := v.meets()
	return err
}

func (v *visitor) meets() (alice, bob *user, err error) {
	if alice, err = v.joins(); err != nil {
		return nil, nil, err
	}
	if bob, err = v.joins(); err != nil {
		return nil, nil, err
	}
	return alice, bob, errors.Join(
		alice.say(said{frames.TypeStart, string(bob.key), 8 + v.IntN(frames.MaxSealed-8)}), bob.next(), bob.heardLast(frames.TypeStart, 0),
		bob.say(said{frames.TypeAccept, string(alice.key), 8 + v.IntN(frames.MaxSealed-8)}), alice.next(), alice.heardLast(frames.TypeAccept, 0),
	)
}

// floods leaves messages behind that nobody has read.
func (v *visitor) floods() error {
	alice, bob, err := v.meets()
	for range v.IntN(20) {
		if err == nil {
			err = alice.say(said{frames.TypeMessage, string(bob.key), 8 + v.IntN(16<<10)})
		}
	}
	return err
}
