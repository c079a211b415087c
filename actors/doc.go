// Package actors holds the actors of a conversation, and every message they understand.
//
// A [ConnectionActor] speaks frames with one client: it logs in, and is the writing side of the socket. A [UserActor] is
// one public key: it decides what its client may say to whom, and whether a peer may reach its client. Who spawns them,
// and what a crash of one means, is package supervisor's business; an actor knows its parent only as a PID.
//
// A frame's way: the reader of a socket (reader.go) finds the whole frames in what it read, one [Chunk], and sends it to its
// user's actor, which walks it (walk.go). Frames of one chunk to one peer travel together, as one [Run], to the peer's
// actor, which passes them to its connection, which writes them (output.go, round.go). If nobody else needs those actors
// just then, all of it happens on the reader's goroutine (worker.go, mailbox.go). Every frame gets exactly one outcome,
// counted in the [Ledger]: delivered, or refused with an Error to its sender. What is not settled yet weighs on its
// connection's window, and a reader whose window is used up does not read.
//
// The rule who may say what to whom when is session.go; it knows neither actors nor sockets.
package actors
