package main

import (
	"context"
	"strings"

	"github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/frames"
)

// help is what there is to say in a chat besides texts.
const help = "/end [REASON] ends, and tells your friend why; /safety shows the number that your friend should see, too; " +
	"/help shows this. What begins with // is sent with one / less"

// command does what a line says, or sends it. done says that the user has had enough.
func (c *chatting) command(ctx context.Context, line string) (done bool, err error) {
	text, escaped := strings.CutPrefix(line, "//")
	name, rest, _ := strings.Cut(line, " ")
	switch {
	case escaped:
		line = "/" + text
	case !strings.HasPrefix(line, "/"):
	case name == "/end":
		return c.leave(strings.TrimSpace(rest))
	case name == "/safety":
		c.say("safety number: %s", client.SafetyNumber(c.self.Key(), c.peer.key))
		return false, nil
	case name == "/help":
		c.say("%s", help)
		return false, nil
	default:
		c.say("there is no %s; %s", printable(name), help)
		return false, nil
	}
	if err := c.typed(ctx, line); err != nil {
		return true, c.over(err)
	}
	return false, nil
}

// leave ends the chat, unless the reason is too long.
func (c *chatting) leave(reason string) (done bool, err error) {
	if len(reason) > frames.MaxReason {
		c.say("a reason has at most %d bytes", frames.MaxReason)
		return false, nil
	}
	return true, c.end(reason)
}
