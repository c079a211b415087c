package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/admin"
	"github.com/mdeiml/blubbel-server/listener"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// administration is where the relay shows what it does.
type administration struct {
	Admin         adminAddress `group:"admin" placeholder:"ADDRESS" help:"Where to show it: unix:///path, or host:port of this machine. Nowhere if not named."`
	AdminPublic   bool         `group:"admin" help:"Let --admin be an address that others can reach. Whoever asks there needs the token in the file admin-token of the state folder."`
	AdminHost     []string     `group:"admin" placeholder:"NAME" sep:"none" help:"Name that browsers may ask for there, besides localhost. May be given more than once."`
	AdminProfiles bool         `group:"admin" help:"Serve profiles of the process, too, at /debug/pprof/."`
}

// adminAddress is a Unix socket as unix:///path, or host:port; or empty.
type adminAddress string

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *adminAddress) UnmarshalText(text []byte) error {
	where := strings.TrimPrefix(string(text), "http://")
	path, isUnix := strings.CutPrefix(where, unixScheme)
	_, port, err := net.SplitHostPort(where)
	switch {
	case where == "":
	case isUnix && !filepath.IsAbs(path):
		return fmt.Errorf("%q: give the whole path of the socket, as in unix:///run/blubbel/admin.sock", text)
	case !isUnix && (err != nil || port == ""):
		return fmt.Errorf("%q: give it as unix:///path, or as host:port, such as 127.0.0.1:9090", text)
	}
	*a = adminAddress(where)
	return nil
}

const unixScheme = "unix://"

// socket is the path of a Unix socket.
func (a adminAddress) socket() (path string, isUnix bool) {
	return strings.CutPrefix(string(a), unixScheme)
}

// private reports whether nobody from another machine can get there.
func (a adminAddress) private() bool {
	if _, isUnix := a.socket(); isUnix {
		return true
	}
	return onThisMachine(string(a))
}

// onThisMachine reports whether only programs of this machine can connect to an address.
func onThisMachine(hostPort string) bool {
	host, _, _ := net.SplitHostPort(hostPort)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// check looks whether the settings go together.
func (a administration) check() error {
	switch {
	case a.Admin == "" && (a.AdminPublic || a.AdminProfiles || len(a.AdminHost) > 0):
		return &conflict{errors.New("--admin-public, --admin-host and --admin-profiles are for --admin ADDRESS, which is missing"), isOfAdmin}
	case a.Admin != "" && !a.Admin.private() && !a.AdminPublic:
		return &invalid{"admin", fmt.Sprintf(" is %s, where others can get; give an address of this machine such as 127.0.0.1:9090, or add --admin-public", a.Admin)}
	}
	return nil
}

// isOfAdmin reports whether a setting has to do with that.
func isOfAdmin(flag *kong.Flag) bool { return flag.Group != nil && flag.Group.Key == "admin" }

// office is where the relay is shown. A nil one is nowhere.
type office struct {
	ln     net.Listener
	at     adminAddress
	server *http.Server
	token  string
}

// open listens there. The token is kept in the state folder.
func (a administration) open(ctx context.Context, folder string) (*office, error) {
	if a.Admin == "" {
		return nil, nil
	}
	o, err := &office{at: a.Admin}, error(nil)
	if path, isUnix := a.Admin.socket(); isUnix {
		o.ln, err = listener.Unix(ctx, path, 0o600)
	} else if o.token, err = adminToken(folder); err == nil {
		o.ln, err = new(net.ListenConfig).Listen(ctx, "tcp", string(a.Admin))
	}
	if err != nil {
		return nil, adviseAdmin(a.Admin, err)
	}
	return o, nil
}

// adviseAdmin says what to do about an address that cannot be listened on.
func adviseAdmin(at adminAddress, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("cannot listen on %s: another program does; choose another with --admin", at)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("cannot listen on %s: there is no such folder; make it, or choose another path with --admin", at)
	}
	return fmt.Errorf("cannot listen on %s, as --admin says: %w", at, err)
}

// serve shows a relay until the office is closed. Drain is for who asks it to stop.
func (o *office) serve(relay *supervisor.Relay, a administration, about admin.About, drain func(), log *logrus.Entry) {
	if o == nil {
		return
	}
	o.server = admin.NewServer(admin.Handler(relay, admin.Options{
		Token: o.token, Guarded: a.AdminPublic && !a.Admin.private(), Hosts: a.AdminHost, Drain: drain, Profiles: a.AdminProfiles, About: about,
	}))
	where := string(o.at)
	if _, isUnix := o.at.socket(); !isUnix {
		where = "http://" + o.ln.Addr().String() // the port may have been chosen
	}
	log.WithField("admin", where).Info("the relay is shown")
	go func() { // ends with close
		if err := o.server.Serve(o.ln); !errors.Is(err, http.ErrServerClosed) {
			log.WithError(err).Error("the relay is not shown any more")
		}
	}()
}

// close ends it. Who is being answered is waited for, but not for long.
func (o *office) close() {
	if o == nil {
		return
	}
	if o.server == nil {
		_ = o.ln.Close()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if o.server.Shutdown(ctx) != nil {
		_ = o.server.Close()
	}
}

const tokenSize = 16 // bytes

// adminToken reads the token, and makes it where there is none.
func adminToken(folder string) (string, error) {
	name := filepath.Join(folder, "admin-token")
	text, err := os.ReadFile(name) //nolint:gosec // the operator says where
	if err == nil {
		if token := strings.TrimSpace(string(text)); len(token) >= tokenSize {
			return token, nil
		}
		return "", fmt.Errorf("%s has no token; remove it for a new one", name)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	random := make([]byte, tokenSize)
	_, _ = rand.Read(random) // never fails
	token := hex.EncodeToString(random)
	return token, writeWhole(name, []byte(token+"\n"))
}
