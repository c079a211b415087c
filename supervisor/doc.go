// Package supervisor is the tree: who is whose child, what a crash means, and how the relay is configured, started and
// stopped. It is what a program that embeds the relay uses:
//
//	relay, err := supervisor.New(supervisor.Config{Log: log})
//	pid, err := relay.Spawn(system.Root, "blubbel") // or the context of an actor, whose child it is then
//	err = relay.Serve(ctx, ln)                      // for each listener
//	err = relay.Stop(ctx)
//
// Events are published on the actor system's event stream: see [UserOnline]. [Relay.Attach] lets an actor of the host's be a user, [Relay.Stats] and
// [Relay.Tree] show what goes on, and docs/embedding.md has the rest.
//
// # The tree
//
//	relay                 the top actor of one relay
//	├── registry          Registry          which UserActor a key has; supervises users
//	│   └── user          UserActor         one per public key: consent, routing
//	└── connections       Connections       supervises connections
//	    └── connection    ConnectionActor   one per TCP connection: login, then the writing side of the socket
//
// # Crashes
//
// What a crash (a panic) of each means:
//
//	who                what happens                                       what a client sees
//	ConnectionActor    stopped, its socket closed; what it had not        INTERNAL with number 0, if no frame was begun, and
//	                   written is refused                                 end of stream; it connects again. Who sent
//	                                                                      to it: OFFLINE (a stranger: UNAVAILABLE)
//	UserActor          restarted with all its state; the message in hand  nothing, or INTERNAL for one frame
//	                   is tried once more, then refused
//	UserActor, often   the same, and its connection is closed, which      INTERNAL with number 0, end of stream; it
//	                   ends its sessions. The next login of its key       connects again. Its peers: as when it leaves
//	                   waits, 100 ms and twice as long each time, at
//	                   most 5 s, until a minute was calm
//	Registry,          resumed: same instance, same children; message     nothing, or INTERNAL for one frame
//	Connections        in hand as above
//	relay              recovered inside its own Receive                   nothing
//	reader, and who    become a message to their ConnectionActor          as ConnectionActor
//	waits for a socket
//	anybody, while it  it stops all the same, and lets go of what it      nothing
//	is being stopped   holds
//
// A connection does not restart, because half of a frame may be lost with it, and a byte stream out of step cannot be
// repaired; a new connection can be had. It is not a child of a user, because a restart stops an actor's children.
//
// A call of runtime.Goexit in an actor is a crash like any other.
//
// When a host stops the top actor, or restarts it, clients are told SHUTTING_DOWN where no frame was begun, and closed;
// every frame under way has its outcome. After a restart the relay's listeners serve on.
//
// Each crash is one line in the log and one [Crashed] on the event stream of the actor system.
package supervisor
