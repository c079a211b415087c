package listener

import "net"

// Transport is what connections of a listener speak below frames, in a word: tcp, tls, ws, wss or unix. Of a listener of the host's, that has no method
// Transport, it is what its address says.
func Transport(ln net.Listener) string {
	if t, ok := ln.(interface{ Transport() string }); ok {
		return t.Transport()
	}
	return ln.Addr().Network()
}
