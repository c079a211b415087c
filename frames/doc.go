// Package frames is the wire: what the bytes between a client and the relay mean, and nothing else.
//
// A frame is a type byte, a big-endian length of four bytes, and a payload of that length. Types, their payloads and
// limits stand in table.go, the codes of refusals in code.go. Docs: docs/protocol.md, which is normative; vectors that
// other implementations can use lie in testdata/vectors.
//
// [Cut] takes the next frame off a byte slice, [Keys.Split] takes the key off its payload, [Keys.Decode] reads the rest; none
// of them copies. Frames are written by appending: every [Frame] has an Append method.
package frames
