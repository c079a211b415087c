// Package actors holds the actors of a conversation, and every message they understand.
//
// A [ConnectionActor] speaks frames with one client: it logs in, and is the writing side of the socket. A [UserActor] is
// one public key: it decides what its client may say to whom, and whether a peer may reach its client. Who spawns them,
// and what a crash of one means, is package supervisor's business; an actor knows its parent only as a PID.
//
// The files, along a frame's way:
//
//	socket, window       waiting for a socket, and the memory that its connection may hold
//	reader, chunk        what one read brought: whole frames, a [Chunk], to the user's actor
//	user, walk, session  judging each frame; session is the rule who may say what to whom when
//	run                  frames of one chunk to one peer, a [Run], to the peer's actor
//	connection, output   to the peer's connection, which writes them
//	round, waiting       what is written at once; and waiting when the socket takes no more
//	slow                 a client that does not keep up
//	ledger               the outcome of every frame: delivered, or refused with an Error to its sender
//
// And what carries them: messages; mailbox, crash and user_crash (no message is lost when an actor crashes or stops); rest (one
// that does so again and again); worker (who
// runs an actor: if nobody else needs them just then, all the actors on the way are run by the reader's own goroutine).
//
// What is not settled yet weighs on its connection's window, and a reader whose window is used up does not read.
package actors
