package frames

import "encoding/binary"

// Elements are what Hello and Welcome are made of; zero values stand for elements that are not there.
type Elements struct {
	Features     uint32 // element 1, a bit per feature
	Nonce        []byte // element 2, 32 bytes
	RelayID      []byte // element 3, 32 bytes: the relay's Ed25519 public key. From the relay only
	MaxPayload   uint32 // element 4, bytes. From the relay only
	PingInterval uint32 // element 5, seconds. From the relay only
	Software     string // element 6
	Signature    []byte // element 7, 64 bytes. From the relay only, and last
}

// Hello is a client's offer of extensions.
type Hello struct{ Elements }

// Welcome is the relay's answer to it.
type Welcome struct{ Elements }

// Type returns TypeHello.
func (Hello) Type() Type { return TypeHello }

// Type returns TypeHello.
func (Welcome) Type() Type { return TypeHello }

// Append appends the frame, without the elements that only the relay sends.
func (f Hello) Append(b []byte) []byte {
	f.RelayID, f.MaxPayload, f.PingInterval, f.Signature = nil, 0, 0, nil
	return f.append(b)
}

// Append appends the frame.
func (f Welcome) Append(b []byte) []byte { return f.append(b) }

func (e *Elements) append(b []byte) []byte {
	start := len(b)
	b = begin(b, TypeHello)
	b = appendUint(b, 1, e.Features)
	b = appendElement(b, 2, e.Nonce)
	b = appendElement(b, 3, e.RelayID)
	b = appendUint(b, 4, e.MaxPayload)
	b = appendUint(b, 5, e.PingInterval)
	b = appendElement(b, 6, []byte(e.Software))
	b = appendElement(b, 7, e.Signature)
	return end(b, start)
}

func appendUint(b []byte, id byte, v uint32) []byte {
	if v == 0 {
		return b
	}
	return appendElement(b, id, binary.BigEndian.AppendUint32(nil, v))
}

func appendElement(b []byte, id byte, value []byte) []byte {
	if len(value) == 0 {
		return b
	}
	b = binary.BigEndian.AppendUint16(append(b, id), uint16(len(value))) //nolint:gosec // a payload has less than 2^16 bytes
	return append(b, value...)
}

func decodeElements(from Side, p []byte) (Frame, error) {
	var e Elements
	var seen [8]bool
	for len(p) > 0 {
		if len(p) < 3 || len(p)-3 < int(binary.BigEndian.Uint16(p[1:])) {
			return nil, refuse(Malformed, "an element is cut off")
		}
		id, value := p[0], p[3:3+int(binary.BigEndian.Uint16(p[1:]))]
		p = p[3+len(value):]
		if id == 0 || int(id) >= len(seen) || from == FromClient && relayOnly(id) {
			continue // unknown, or not the client's to say
		}
		if seen[id] || !e.set(id, value) {
			return nil, refuse(Malformed, "an element is given twice, or has the wrong length")
		}
		seen[id] = true
	}
	if from == FromClient {
		return Hello{e}, nil
	}
	return Welcome{e}, nil
}

func relayOnly(id byte) bool { return id == 3 || id == 4 || id == 5 || id == 7 }

// set takes the value of a known element; false if its length is wrong.
func (e *Elements) set(id byte, value []byte) bool {
	number := func(to *uint32) bool {
		if len(value) != 4 {
			return false
		}
		*to = binary.BigEndian.Uint32(value)
		return true
	}
	octets := func(to *[]byte, n int) bool {
		*to = value
		return len(value) == n
	}
	switch id {
	case 1:
		return number(&e.Features)
	case 2:
		return octets(&e.Nonce, 32)
	case 3:
		return octets(&e.RelayID, 32)
	case 4:
		return number(&e.MaxPayload)
	case 5:
		return number(&e.PingInterval)
	case 6:
		e.Software = string(value)
	case 7:
		return octets(&e.Signature, 64)
	}
	return true
}
