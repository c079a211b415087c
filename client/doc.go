// Package client is the SDK for programs whose users talk through a blubbel relay. The relay forwards; what is said is
// encrypted from end to end, and checked (docs/session.md).
//
// A user is a key. Make one once, keep it, and give its public half to friends:
//
//	self, err := client.NewIdentity()
//	secret, err := self.MarshalPEM()         // to a file that only the user can read
//	public := client.MarshalKey(self.Key())  // to friends, who read it with ParseKey
//
// Connect, log in, and ask a friend for a session:
//
//	c, err := client.Dial(ctx, "blubbels://ID@relay.example:8443", client.Options{Reconnect: client.Forever})
//	defer c.Close()
//	err = c.Login(ctx, self)
//	session, err := c.StartSession(ctx, friend) // waits until the friend accepts
//
// or wait until one asks, and accept:
//
//	for event, err := range c.Events(ctx) {
//		if request, ok := event.(client.Requested); ok && isFriend(request.Peer) {
//			session, err := c.AcceptSession(ctx, request.Peer)
//		}
//	}
//
// Then talk. Send returns when the text is under way; Flush waits until the friend has everything; a text counts as taken
// when the loop's body is done with it:
//
//	err = session.Send(ctx, []byte("Hello Bob"))
//	for text, err := range session.Messages(ctx) {
//		fmt.Printf("%q %v\n", text, err)
//	}
//	err = session.End(ctx, "") // waits until the friend has everything
//
// # Who is who
//
// The relay proves who it is, if the address has its id ([ParseAddress]): before that, nothing is said to it but Hello, and
// if it cannot the error is *[WrongRelay]. Over TLS the proof holds for that very connection, so nobody sits in between,
// whatever the certificates say. [Client.Relay] has the id of a relay whose address does not: remember it, if you like, and
// ask the user when it changes.
//
// Login proves to the relay that the key is ours. From then on it takes no login of the key without a proof, and a login
// with one takes the place of the connection before. Options.Unproven does without Hello and proof.
//
// # When the connection breaks
//
// With Options.Reconnect the client connects again, and [Reconnecting] and [Reconnected] are events. Sessions between two
// proven keys go on where they were: texts wait, nothing is lost and nothing comes twice. Requests have to be made again. A
// session that the relay does not have any more ends with [ErrSessionLost]. A client whose key logs in elsewhere (REPLACED),
// or who is not let in, does not connect again, or two programs would throw each other out for ever.
//
// Without it sessions end with the connection. When the client is Done, wait a moment, dial, log in, and start again; what
// was not confirmed then (Flush did not return) may have arrived or not.
//
// # What can go wrong
//
// Whatever the relay refuses is a *[Refused], returned by the call whose request it was: [IsRefused] tells, with the codes
// of package frames. If the friend is away it is Unavailable. Messages that are refused because the friend does not keep up,
// or just left, are sent again in order.
//
// A session's keys prove who said what. Whatever the relay changes, mixes up, repeats or keeps back is noticed: it ends the
// session, on both sides, with an error that names it, and [Tampering] is true of it. The same outside of sessions is an
// event, [Trouble]. The errors are those of this package, and of package client/e2e.
//
// A peer whose client does not answer for half a minute is given up with [ErrSilent]; one who is away is waited for. When the
// relay says that a peer has ended a session, or is gone for good, it ends with *[Left]: what has arrived is still handed
// out. That is the relay's word only, so what is unconfirmed stays so ([Session.Unconfirmed]).
package client
