package main

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/alecthomas/kong"

	"github.com/mdeiml/blubbel-server/supervisor"
)

// limits are the settings of the fields of supervisor.Config with the same names, which have their defaults from there. Those of
// the group rates are off with --rate-limits=off.
type limits struct {
	MinKeyBits      int `group:"limits" help:"Least size of an RSA key." default:"${MinKeyBits}"`
	MaxKeyBits      int `group:"limits" help:"Greatest size of an RSA key." default:"${MaxKeyBits}"`
	MaxPayload      int `group:"limits" help:"Payload of a frame." default:"${MaxPayload}"`
	MaxLoginPayload int `group:"limits" help:"Payload of a frame before login." default:"${MaxLoginPayload}"`
	MaxSealed       int `group:"limits" help:"Sealed part of StartSession and AcceptSession." default:"${MaxSealed}"`
	Connections     int `group:"limits" help:"Connections in all. Not more than the file limit allows, less 64." default:"${Connections}"`
	Window          int `group:"limits" help:"Memory held for a connection until it is not read any more." default:"${Window}"`
	AskedBy         int `group:"limits" help:"Session requests of one user that may be pending." default:"${AskedBy}"`
	AskedOf         int `group:"limits" help:"Session requests that may be pending with one user." default:"${AskedOf}"`
	Sessions        int `group:"limits" help:"Sessions of one user." default:"${Sessions}"`
	UsersAway       int `group:"limits" help:"Users whose sessions are kept while they are away." default:"${UsersAway}"`
	Pins            int `group:"limits" help:"Keys of which is remembered that they open only to proof." default:"${Pins}"`
	Crashes         int `group:"limits" help:"Crashes of a user's actor within --crash-window before it is given up." default:"${Crashes}"`

	LoginTime         time.Duration `group:"times" help:"A client must have logged in by then." default:"${LoginTime}"`
	FrameTime         time.Duration `group:"times" help:"A frame must be whole, from its first byte on." default:"${FrameTime}"`
	Silence           time.Duration `group:"times" help:"No byte in either direction, until the connection is closed." default:"${Silence}"`
	PingInterval      time.Duration `group:"times" help:"Nothing heard of a client that said Hello, until it is pinged; closed after two more." default:"${PingInterval}"`
	AwayTime          time.Duration `group:"times" help:"A user may be away until its sessions end." default:"${AwayTime}"`
	Stall             time.Duration `group:"times" help:"A client may take less than 64 KiB, until those who write to it are told BUSY." default:"${Stall}"`
	WriteDeadline     time.Duration `group:"times" help:"A client may take nothing, until it is closed." default:"${WriteDeadline}"`
	KeepAlive         time.Duration `group:"times" help:"Silence until TCP probes whether the client is there." default:"${KeepAlive}"`
	KeepAliveInterval time.Duration `group:"times" help:"From one probe to the next." default:"${KeepAliveInterval}"`
	KeepAliveProbes   int           `group:"times" help:"Unanswered probes until the connection is over." default:"${KeepAliveProbes}"`
	UserTimeout       time.Duration `group:"times" help:"What was sent may be unacknowledged, until the connection is over (Linux)." default:"${UserTimeout}"`
	CrashWindow       time.Duration `group:"times" help:"See --crashes." default:"${CrashWindow}"`

	OnlinePerAddress    number                  `group:"rates" help:"Connections from one address that are logged in." default:"${OnlinePerAddress}"`
	AnonymousPerAddress number                  `group:"rates" help:"Connections from one address that are not." default:"${AnonymousPerAddress}"`
	EarlyRefusal        supervisor.EarlyRefusal `group:"rates" help:"When so many are not logged in, connections are refused at random: from:percent:all." default:"${EarlyRefusal}"`
	AskedOfPerAddress   number                  `group:"rates" help:"Of --asked-of, those from one address." default:"${AskedOfPerAddress}"`
	FrameRate           supervisor.Rate         `group:"rates" help:"Frames read from one connection." default:"${FrameRate}"`
	ByteRate            supervisor.Rate         `group:"rates" help:"Bytes read from one connection." default:"${ByteRate}"`
	StartRate           supervisor.Rate         `group:"rates" help:"Session requests of one user." default:"${StartRate}"`
	StartRatePerAddress supervisor.Rate         `group:"rates" help:"Session requests from one address." default:"${StartRatePerAddress}"`
	StartRateTo         supervisor.Rate         `group:"rates" help:"Session requests of strangers to one user." default:"${StartRateTo}"`
	ProofRate           supervisor.Rate         `group:"rates" help:"Proofs from one address that are looked at." default:"${ProofRate}"`
	Takeovers           number                  `group:"rates" help:"Takeovers of one key within a minute, from which on each is answered a second later." default:"${Takeovers}"`
	PenaltyFrom         period                  `group:"rates" help:"An address with so much penalty may not connect until it has run out." default:"${PenaltyFrom}"`
	PenaltyBadLogin     time.Duration           `group:"rates" help:"Penalty of its address for a login that cannot be read." default:"${PenaltyBadLogin}"`
	PenaltyBadProof     time.Duration           `group:"rates" help:"Penalty of its address for a proof that is not valid." default:"${PenaltyBadProof}"`
	PenaltyLateLogin    time.Duration           `group:"rates" help:"Penalty of its address for a login that does not come in time." default:"${PenaltyLateLogin}"`
	PenaltyMost         time.Duration           `group:"rates" help:"Greatest penalty of an address." default:"${PenaltyMost}"`
}

// groups are the headings of --help.
func groups() kong.Option {
	return kong.ExplicitGroups([]kong.Group{
		{Key: "listen", Title: "Listening:"},
		{Key: "tls", Title: "TLS:", Description: "Whoever listens on tls:// or wss:// needs one of: a pair of files, a certificate made at start, or ACME."},
		{Key: "admin", Title: "Showing what it does:", Description: "Metrics for Prometheus, a page, and what blubbel-server ctl prints."},
		{Key: "limits", Title: "Limits:"},
		{Key: "times", Title: "Limits of time:"},
		{
			Key: "rates", Title: "Limits by rate and by client address:",
			Description: "Each may be off, but for the sizes of penalties. A RATE is such as \"10/min burst 20\". An address is one of IPv4, or a /64 network of IPv6.",
		},
	})
}

// number is an int, or off.
type number int

// String is the text that is read as this number.
func (n number) String() string {
	if n == supervisor.Off {
		return "off"
	}
	return strconv.Itoa(int(n))
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *number) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*n = supervisor.Off
		return nil
	}
	v, err := strconv.Atoi(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q: give a number, or off", text)
	}
	*n = number(v)
	return nil
}

// period is a time.Duration, or off.
type period time.Duration

// String is the text that is read as this period.
func (p period) String() string {
	if p == supervisor.Off {
		return "off"
	}
	return time.Duration(p).String()
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *period) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*p = supervisor.Off
		return nil
	}
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q: give a time such as 15s, or off", text)
	}
	*p = period(v)
	return nil
}

// defaults are the defaults of the flags, by field.
func defaults() kong.Vars {
	vars, config := kong.Vars{}, reflect.ValueOf(supervisor.Defaults())
	for field := range reflect.TypeFor[limits]().Fields() {
		vars[field.Name] = fmt.Sprint(config.FieldByName(field.Name))
	}
	return vars
}

// config returns the limits as a Config. There a zero would stand for the default.
func (l limits) config() (c supervisor.Config, err error) {
	from, to := reflect.ValueOf(l), reflect.ValueOf(&c).Elem()
	for field := range from.Type().Fields() {
		value, v := from.FieldByIndex(field.Index), to.FieldByName(field.Name)
		if value.IsZero() {
			err = errors.Join(err, &supervisor.InvalidError{Field: field.Name, Text: "is 0; leave it out for the default"})
		}
		v.Set(value.Convert(v.Type()))
	}
	return c, err
}

// ofSetting says of an error about a field of supervisor.Config which setting that is.
func ofSetting(err error) error {
	var field *supervisor.InvalidError
	if !errors.As(err, &field) {
		return err
	}
	return &invalid{settingName(field.Field), " " + field.Text}
}

// settingName returns the setting of a field.
func settingName(field string) string {
	var name strings.Builder
	for i, r := range field {
		if unicode.IsUpper(r) && i > 0 {
			name.WriteByte('-')
		}
		name.WriteRune(unicode.ToLower(r))
	}
	return name.String()
}
