//go:build !linux

package actors

import "net"

// newDescriptor returns nil: on these systems every connection is a stream.
func newDescriptor(net.Conn) socket { return nil }
