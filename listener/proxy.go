package listener

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pires/go-proxyproto"
)

// Proxied returns a listener of whose connections those that come from certain networks begin with a PROXY header, version 1 or 2
// (https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt): from there on, their address is the one of the client for whom the
// proxy asks. Until then, and where the header names no client, they come from no address. From elsewhere nobody may say who they are.
func Proxied(ln net.Listener, from Networks) net.Listener {
	if len(from) == 0 {
		return ln
	}
	return behindProxies{ln, from}
}

type behindProxies struct {
	net.Listener
	from Networks
}

// Accept implements net.Listener.
func (ln behindProxies) Accept() (net.Conn, error) {
	conn, err := ln.Listener.Accept()
	if err != nil || !ln.from.Has(conn.RemoteAddr()) {
		return conn, err
	}
	return &proxied{Conn: conn}, nil
}

// Transport is that of what is below.
func (ln behindProxies) Transport() string { return Transport(ln.Listener) }

// proxied is a connection that begins with a PROXY header. Behind the header it is the one below, byte for byte.
type proxied struct {
	net.Conn
	shaken sync.Once
	failed error
	client atomic.Pointer[net.TCPAddr] // nil if it is not known
}

// Handshake reads the header.
func (p *proxied) Handshake() error {
	p.shaken.Do(func() {
		if p.failed = shakeHands(p.Conn); p.failed == nil {
			p.failed = p.readHeader()
		}
	})
	return p.failed
}

// Read implements net.Conn.
func (p *proxied) Read(b []byte) (int, error) {
	if err := p.Handshake(); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

// RemoteAddr implements net.Conn.
func (p *proxied) RemoteAddr() net.Addr {
	if client := p.client.Load(); client != nil {
		return client
	}
	return behind{p.Conn.RemoteAddr()}
}

// NetConn returns the connection below.
func (p *proxied) NetConn() net.Conn { return p.Conn }

// Bare returns the connection below, too: after the handshake there is no difference, but that it may be one of TCP's own.
func (p *proxied) Bare() net.Conn { return p.Conn }

// CloseWrite says that nothing more comes, if that can be said.
func (p *proxied) CloseWrite() error {
	if half, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

func (p *proxied) readHeader() error {
	header, err := cutHeader(p.Conn)
	if errors.Is(err, errNoHeader) {
		return &Misunderstanding{text: err.Error(), conn: p.Conn}
	}
	if err != nil || header == nil {
		return err
	}
	parsed, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(header), len(header)))
	if err != nil {
		return &Misunderstanding{text: errNoHeader.Error(), conn: p.Conn}
	}
	if client, ok := parsed.SourceAddr.(*net.TCPAddr); ok && !parsed.Command.IsLocal() {
		p.client.Store(client)
	}
	return nil
}

var errNoHeader = errors.New("connections from your address begin with a PROXY header, and this one does not")

// The sizes of a header's parts, in bytes.
const (
	signatureSize = 12
	mostVersion1  = 107
	mostVersion2  = 4 << 10 // behind the first 16
)

// cutHeader reads a header, and nothing behind it. It is nil if it says, in version 2, that the client's kind of address has no name: the
// specification leaves it to us to take that for no address, and to the library, which does not.
func cutHeader(r io.Reader) ([]byte, error) {
	header := make([]byte, signatureSize, mostVersion1)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	if bytes.Equal(header, proxyproto.SIGV2) {
		return cutVersion2(r, header)
	}
	if !bytes.HasPrefix(header, proxyproto.SIGV1) {
		return nil, errNoHeader
	}
	for header[len(header)-1] != '\n' {
		if len(header) == mostVersion1 {
			return nil, errNoHeader
		}
		header = header[:len(header)+1]
		if _, err := io.ReadFull(r, header[len(header)-1:]); err != nil {
			return nil, err
		}
	}
	return header, nil
}

func cutVersion2(r io.Reader, signature []byte) ([]byte, error) {
	fixed := make([]byte, 4) // command, family, and the size of the rest
	if _, err := io.ReadFull(r, fixed); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint16(fixed[2:]))
	if size > mostVersion2 {
		return nil, errNoHeader
	}
	rest := make([]byte, size)
	if _, err := io.ReadFull(r, rest); err != nil {
		return nil, err
	}
	if fixed[0] == byte(proxyproto.PROXY) && fixed[1] == byte(proxyproto.UNSPEC) {
		return nil, nil
	}
	return slices.Concat(signature, fixed, rest), nil
}
