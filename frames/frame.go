package frames

import (
	"encoding/binary"
	"unicode/utf8"
)

// Frame is one of the structs of this file (and [Hello] and [Welcome]): a frame taken apart.
//
//sumtype:decl
type Frame interface {
	// Append appends the whole frame, header included, to b. It does not check limits.
	Append(b []byte) []byte
	// Type is the frame's first byte.
	Type() Type
}

// Login asks to be Key on this connection. From the client.
type Login struct{ Key Key }

// LoginAccepted answers Login and Prove. From the relay.
type LoginAccepted struct{}

// StartSession asks Peer for a session. From the relay it is SessionRequested, and Peer is who asks.
type StartSession struct {
	Peer   Key
	Sealed []byte // at most MaxSealed bytes
}

// AcceptSession opens the session that Peer asked for. From the relay it is SessionAccepted, and Peer is who accepted.
type AcceptSession struct {
	Peer   Key
	Sealed []byte // at most MaxSealed bytes
}

// Message carries a ciphertext to Peer; from the relay, from Peer.
type Message struct {
	Peer Key
	Body []byte
}

// Error refuses a frame. From the relay.
type Error struct {
	Code    Code
	Request Type   // the refused frame's type; 0 if the Error answers none
	Number  uint64 // which of this connection's frames it was, counted from 1; 0 if the Error answers none
	Text    string // for people; at most MaxText bytes
}

// Prove logs in with a signature that proves possession of Key. From the client, after Hello.
type Prove struct {
	Key       Key
	Signature []byte
}

// Ping asks for a Pong with the same bytes.
type Ping [8]byte

// Pong answers a Ping.
type Pong [8]byte

// EndSession ends what there is with Peer: the session and pending requests. From the relay, Peer ended it.
type EndSession struct {
	Peer   Key
	Reason string // at most MaxReason bytes
}

// Presence tells whether the peer of an open session is connected. From the relay.
type Presence struct {
	Online bool
	Peer   Key
}

// Restarting announces that the relay will be away for a moment. From the relay. Both times are in milliseconds.
type Restarting struct{ ReconnectIn, KeepTryingFor uint32 }

// Type returns TypeLogin.
func (Login) Type() Type { return TypeLogin }

// Type returns TypeLogin.
func (LoginAccepted) Type() Type { return TypeLogin }

// Type returns TypeStart.
func (StartSession) Type() Type { return TypeStart }

// Type returns TypeAccept.
func (AcceptSession) Type() Type { return TypeAccept }

// Type returns TypeMessage.
func (Message) Type() Type { return TypeMessage }

// Type returns TypeError.
func (Error) Type() Type { return TypeError }

// Type returns TypeProve.
func (Prove) Type() Type { return TypeProve }

// Type returns TypePing.
func (Ping) Type() Type { return TypePing }

// Type returns TypePong.
func (Pong) Type() Type { return TypePong }

// Type returns TypeEnd.
func (EndSession) Type() Type { return TypeEnd }

// Type returns TypePresence.
func (Presence) Type() Type { return TypePresence }

// Type returns TypeRestarting.
func (Restarting) Type() Type { return TypeRestarting }

// Append appends the frame.
func (f Login) Append(b []byte) []byte { return appendParts(b, TypeLogin, f.Key, nil) }

// Append appends the frame.
func (LoginAccepted) Append(b []byte) []byte { return AppendHeader(b, TypeLogin, 0) }

// Append appends the frame.
func (f StartSession) Append(b []byte) []byte { return appendParts(b, TypeStart, f.Peer, f.Sealed) }

// Append appends the frame.
func (f AcceptSession) Append(b []byte) []byte { return appendParts(b, TypeAccept, f.Peer, f.Sealed) }

// Append appends the frame.
func (f Message) Append(b []byte) []byte { return appendParts(b, TypeMessage, f.Peer, f.Body) }

// Append appends the frame. A text over MaxText bytes is cut, between characters.
func (f Error) Append(b []byte) []byte {
	text := f.Text
	for len(text) > MaxText {
		_, last := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-last]
	}
	b = AppendHeader(b, TypeError, 11+len(text))
	b = binary.BigEndian.AppendUint16(b, uint16(f.Code))
	b = append(b, byte(f.Request))
	b = binary.BigEndian.AppendUint64(b, f.Number)
	return append(b, text...)
}

// Append appends the frame.
func (f Prove) Append(b []byte) []byte { return appendParts(b, TypeProve, f.Key, f.Signature) }

// Append appends the frame.
func (f Ping) Append(b []byte) []byte { return append(AppendHeader(b, TypePing, len(f)), f[:]...) }

// Append appends the frame.
func (f Pong) Append(b []byte) []byte { return append(AppendHeader(b, TypePong, len(f)), f[:]...) }

// Append appends the frame.
func (f EndSession) Append(b []byte) []byte {
	return appendParts(b, TypeEnd, f.Peer, []byte(f.Reason))
}

// Append appends the frame.
func (f Presence) Append(b []byte) []byte {
	state := byte(0)
	if f.Online {
		state = 1
	}
	return appendParts(b, TypePresence, []byte{state}, f.Peer)
}

// Append appends the frame.
func (f Restarting) Append(b []byte) []byte {
	b = AppendHeader(b, TypeRestarting, 8)
	b = binary.BigEndian.AppendUint32(b, f.ReconnectIn)
	return binary.BigEndian.AppendUint32(b, f.KeepTryingFor)
}

func appendParts(b []byte, t Type, first, second []byte) []byte {
	b = AppendHeader(b, t, len(first)+len(second))
	return append(append(b, first...), second...)
}
