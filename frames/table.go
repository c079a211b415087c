package frames

import "fmt"

// Type is the first byte of a frame. The same byte means one thing from the client and another from the relay.
type Type byte

// The types: their name and payload from the client, and from the relay. "‖" joins parts without a separator.
const (
	TypeLogin   Type = 0x01 // Login: key                        LoginAccepted: empty
	TypeStart   Type = 0x02 // StartSession: peer key ‖ sealed   SessionRequested: sender key ‖ sealed
	TypeAccept  Type = 0x03 // AcceptSession: peer key ‖ sealed  SessionAccepted: sender key ‖ sealed
	TypeMessage Type = 0x04 // Message: peer key ‖ ciphertext    Message: sender key ‖ ciphertext
	TypeError   Type = 0x05 // -                                 Error: code (2) ‖ type (1) ‖ number (8) ‖ text

	// Extensions, spoken after Hello only.

	TypeHello      Type = 0x10 // Hello: elements                Welcome: elements
	TypeProve      Type = 0x11 // Prove: key ‖ signature         - (answered by LoginAccepted)
	TypeAck        Type = 0x12 // reserved for acknowledged delivery
	TypePing       Type = 0x14 // Ping: 8 bytes                  Ping: 8 bytes
	TypePong       Type = 0x15 // Pong: the 8 bytes of a Ping    Pong: the 8 bytes of a Ping
	TypeEnd        Type = 0x16 // EndSession: peer key ‖ reason  EndSession: sender key ‖ reason
	TypePresence   Type = 0x18 // -                              Presence: state (1) ‖ key
	TypeRestarting Type = 0x1d // -                              Restarting: reconnect in ms (4) ‖ keep trying for ms (4)
)

// Sizes, all in bytes.
const (
	HeaderSize      = 5         // type and length
	MaxPayload      = 64 << 10  // what the relay reads after login
	MaxLoginPayload = 2 << 10   // what the relay reads before login
	MaxGrowth       = 512       // how much longer a forwarded payload may be than what the relay read
	MaxKey          = 1 << 10   // a key as a peer, its DER header included
	MaxSealed       = 4 << 10   // the sealed part of StartSession and AcceptSession
	MaxText         = 120       // the text of an Error
	MaxReason       = 256       // the reason of an EndSession
	SeedKeySize     = 128       // a raw key of the first server
	firstExtension  = TypeHello // from here on, a client has to say Hello first
)

// Extension reports whether t is spoken only after Hello.
func (t Type) Extension() bool { return t >= firstExtension }

// Carries reports whether t carries something from one user to another: StartSession, AcceptSession, Message.
// These are the frames the relay owes an outcome.
func (t Type) Carries() bool { return t >= TypeStart && t <= TypeMessage }

// String returns the name of t as a client sends it, or its number.
func (t Type) String() string {
	switch t {
	case TypeLogin:
		return "Login"
	case TypeStart:
		return "StartSession"
	case TypeAccept:
		return "AcceptSession"
	case TypeMessage:
		return "Message"
	case TypeError:
		return "Error"
	case TypeHello:
		return "Hello"
	case TypeProve:
		return "Prove"
	case TypeAck:
		return "Ack"
	case TypePing:
		return "Ping"
	case TypePong:
		return "Pong"
	case TypeEnd:
		return "EndSession"
	case TypePresence:
		return "Presence"
	case TypeRestarting:
		return "Restarting"
	}
	return fmt.Sprintf("type 0x%02x", byte(t))
}
