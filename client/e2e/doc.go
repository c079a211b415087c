// Package e2e is what two users of a blubbel relay do behind its back: the handshake that gives them keys, and the records
// their messages travel in. Docs: docs/session.md, which is normative; vectors lie in client/testdata. It knows no network
// and no clock; package client has those.
//
// A handshake, suite 1. [Ends] are the two users as one of them sees them:
//
//	Alice                                  Bob
//	start := ends.Start(now)   ── sealed to Bob ──►    request := ends.Open(body)
//	keys := start.Finish(body) ◄─ sealed to Alice ──   body, keys := request.Accept()
//
// Both have the same [Keys] then, and Alice knows that Bob has them; Bob knows it of Alice with her first record. From then
// on each direction has a [Sealer] at one end and an [Opener] at the other. A record holds a [Content]: what is said, how far
// the other side was heard, and zeros, so that lengths tell little.
package e2e
