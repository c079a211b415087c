package frames

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Raw is a frame as it stands on the wire, its payload not looked into.
type Raw struct {
	Type    Type
	Payload []byte // a slice of what it was cut from
}

// ErrShort says that the bytes end before the frame does. It is no fault: read on and try again.
var ErrShort = errors.New("frames: the frame is not whole yet")

// Cut takes the first frame off b, whose payload may have at most maxPayload bytes. Nothing is copied.
//
// A longer frame is refused with TooLarge as soon as its header is there; f.Type is set then, too. While the header or
// the payload is not whole the error is ErrShort, and f.Type is set once the header is.
func Cut(b []byte, maxPayload int) (f Raw, rest []byte, err error) {
	if len(b) < HeaderSize {
		return Raw{}, b, ErrShort
	}
	f.Type = Type(b[0])
	n := binary.BigEndian.Uint32(b[1:])
	if int64(n) > int64(maxPayload) {
		return f, b, &Refusal{Code: TooLarge, Text: TooLarge.Text()}
	}
	end := HeaderSize + int(n)
	if len(b) < end {
		return f, b, ErrShort
	}
	f.Payload = b[HeaderSize:end:end]
	return f, b[end:], nil
}

// Read reads one frame, whose payload may have at most maxPayload bytes; memory is allocated for no more. A longer frame is
// refused with TooLarge. Other errors are those of r: io.EOF only between frames.
func Read(r io.Reader, maxPayload int) (Raw, error) {
	var header [HeaderSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return Raw{}, err
	}
	f, _, err := Cut(header[:], maxPayload)
	if !errors.Is(err, ErrShort) {
		return f, err
	}
	f.Payload = make([]byte, binary.BigEndian.Uint32(header[1:]))
	if _, err := io.ReadFull(r, f.Payload); err != nil {
		if errors.Is(err, io.EOF) { // behind a header it is none
			err = io.ErrUnexpectedEOF
		}
		return f, fmt.Errorf("the payload is cut off: %w", err)
	}
	return f, nil
}

// AppendHeader appends the header of a frame with a payload of n bytes.
func AppendHeader(b []byte, t Type, n int) []byte {
	return binary.BigEndian.AppendUint32(append(b, byte(t)), uint32(n)) //nolint:gosec // payloads are below 2^17 bytes
}

// begin appends a header whose length end fills in.
func begin(b []byte, t Type) []byte { return AppendHeader(b, t, 0) }

// end fills in the length of the frame that begins at start.
func end(b []byte, start int) []byte {
	binary.BigEndian.PutUint32(b[start+1:], uint32(len(b)-start-HeaderSize)) //nolint:gosec // as in AppendHeader
	return b
}

// Side is who sent a frame; the same type byte means another thing from the other side.
type Side int

// The two ends of a connection.
const (
	FromClient Side = iota
	FromRelay
)

// Decode reads the payload of a frame. What it returns shares memory with the payload. The error is a *Refusal:
// Unsupported for a type that this side never sends, else Malformed. A Login's key is not checked; [Keys.Check] does that.
func (k Keys) Decode(from Side, f Raw) (Frame, error) {
	switch f.Type {
	case TypeStart, TypeAccept, TypeMessage, TypeEnd, TypeProve:
		return k.decodeKeyed(from, f)
	case TypeLogin:
		if from == FromClient {
			return Login{Key: Key(f.Payload)}, nil
		}
		return LoginAccepted{}, sized(f, 0)
	case TypeHello:
		return decodeElements(from, f.Payload)
	case TypePing:
		return decodePing(f, func(b [8]byte) Frame { return Ping(b) })
	case TypePong:
		return decodePing(f, func(b [8]byte) Frame { return Pong(b) })
	case TypeError, TypePresence, TypeRestarting:
		if from == FromRelay {
			return decodeFromRelay(f)
		}
	case TypeAck: // reserved
	}
	return nil, refuse(Unsupported, Unsupported.Text())
}

// decodeKeyed reads the types whose payload begins with a key.
func (k Keys) decodeKeyed(from Side, f Raw) (Frame, error) {
	if f.Type == TypeProve && from == FromRelay {
		return nil, refuse(Unsupported, Unsupported.Text())
	}
	key, rest, err := k.Split(f.Payload)
	if err != nil {
		return nil, err
	}
	switch f.Type { //nolint:exhaustive // the caller names the types that come here
	case TypeMessage:
		return Message{Peer: key, Body: rest}, nil
	case TypeProve:
		return Prove{Key: key, Signature: rest}, nil
	case TypeEnd:
		if err := CheckReason(rest); err != nil {
			return nil, err
		}
		return EndSession{Peer: key, Reason: string(rest)}, nil
	}
	if err := CheckSealed(rest, MaxSealed); err != nil {
		return nil, err
	}
	if f.Type == TypeStart {
		return StartSession{Peer: key, Sealed: rest}, nil
	}
	return AcceptSession{Peer: key, Sealed: rest}, nil
}

// CheckSealed refuses a sealed part of more than so many bytes, as Malformed.
func CheckSealed(sealed []byte, most int) error {
	if len(sealed) > most {
		return refuse(Malformed, fmt.Sprintf("the sealed part has at most %d bytes", most))
	}
	return nil
}

// CheckReason refuses a reason of more than MaxReason bytes, as Malformed.
func CheckReason(reason []byte) error {
	if len(reason) > MaxReason {
		return refuse(Malformed, "a reason has at most 256 bytes")
	}
	return nil
}

// decodeFromRelay reads the types that only the relay sends.
func decodeFromRelay(f Raw) (Frame, error) {
	p := f.Payload
	switch {
	case f.Type == TypeError && len(p) >= 11 && len(p) <= 11+MaxText:
		return Error{
			Code:    Code(binary.BigEndian.Uint16(p)),
			Request: Type(p[2]),
			Number:  binary.BigEndian.Uint64(p[3:]),
			Text:    string(p[11:]),
		}, nil
	case f.Type == TypePresence && len(p) >= 1 && p[0] <= 1:
		return Presence{Online: p[0] == 1, Peer: Key(p[1:])}, nil
	case f.Type == TypeRestarting && len(p) == 8:
		return Restarting{
			ReconnectIn:   binary.BigEndian.Uint32(p),
			KeepTryingFor: binary.BigEndian.Uint32(p[4:]),
		}, nil
	}
	return nil, refuse(Malformed, Malformed.Text())
}

func decodePing(f Raw, as func([8]byte) Frame) (Frame, error) {
	if err := sized(f, 8); err != nil {
		return nil, err
	}
	return as([8]byte(f.Payload)), nil
}

func sized(f Raw, n int) error {
	if len(f.Payload) != n {
		return refuse(Malformed, Malformed.Text())
	}
	return nil
}
