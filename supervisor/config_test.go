package supervisor_test

import (
	"crypto/ed25519"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/supervisor"
)

func TestNewValidates(t *testing.T) {
	for _, c := range []struct {
		config supervisor.Config
		wrong  string // the field named; empty if nothing is wrong
	}{
		{supervisor.Config{}, ""},
		{supervisor.Config{MinKeyBits: 1024, MaxKeyBits: 4096, Window: 131082, WriteDeadline: 10 * time.Millisecond}, ""},
		{supervisor.Config{MinKeyBits: 512}, "MinKeyBits"},
		{supervisor.Config{MinKeyBits: 4097}, "MinKeyBits"},
		{supervisor.Config{MaxKeyBits: 4097}, "MaxKeyBits"},
		{supervisor.Config{Window: 131081}, "Window"},
		{supervisor.Config{Window: -1}, "Window"},
		{supervisor.Config{WriteDeadline: time.Millisecond}, "WriteDeadline"},
		{supervisor.Config{WriteDeadline: -1}, "WriteDeadline"},
		{supervisor.Config{AskedBy: -1}, "AskedBy"},
		{supervisor.Config{AskedOf: -1}, "AskedOf"},
		{supervisor.Config{Sessions: -1}, "Sessions"},
		{supervisor.Config{Crashes: -1}, "Crashes"},
		{supervisor.Config{CrashWindow: -1}, "CrashWindow"},
		{supervisor.Config{NoRateLimits: true}, ""},
		{supervisor.Config{MaxPayload: 5119}, "MaxPayload"},
		{supervisor.Config{MaxPayload: 65537}, "MaxPayload"},
		{supervisor.Config{MaxLoginPayload: 1023}, "MaxLoginPayload"},
		{supervisor.Config{MaxSealed: 4097}, "MaxSealed"},
		{supervisor.Config{LoginTime: supervisor.Off}, "LoginTime"},
		{supervisor.Config{FrameTime: time.Millisecond}, "FrameTime"},
		{supervisor.Config{Silence: supervisor.Off}, "Silence"},
		{supervisor.Config{KeepAlive: supervisor.Off}, "KeepAlive"},
		{supervisor.Config{UserTimeout: supervisor.Off}, "UserTimeout"},
		{supervisor.Config{Connections: -1}, "Connections"},
		{supervisor.Config{Connections: 1<<20 + 1}, "Connections"},
		{supervisor.Config{OnlinePerAddress: -2}, "OnlinePerAddress"},
		{supervisor.Config{OnlinePerAddress: supervisor.Off, AnonymousPerAddress: supervisor.Off, AskedOfPerAddress: supervisor.Off}, ""},
		{supervisor.Config{Identity: ed25519.PrivateKey("short")}, "Identity"},
		{supervisor.Config{LoginProof: supervisor.ProofRequired, Takeovers: supervisor.Off, ProofRate: supervisor.Rate{Events: supervisor.Off}}, ""},
		{supervisor.Config{LoginProof: "never"}, "LoginProof"},
		{supervisor.Config{PingInterval: supervisor.Off}, "PingInterval"},
		{supervisor.Config{Pins: supervisor.Off}, "Pins"},
		{supervisor.Config{UsersAway: -1}, "UsersAway"},
		{supervisor.Config{PenaltyFrom: supervisor.Off}, ""},
		{supervisor.Config{PenaltyFrom: -2}, "PenaltyFrom"},
		{supervisor.Config{PenaltyMost: supervisor.Off}, "PenaltyMost"},
		{supervisor.Config{PenaltyMost: 15 * time.Second}, ""},
		{supervisor.Config{PenaltyMost: 15*time.Second - 1}, "PenaltyMost"}, // nobody would ever be turned away
		{supervisor.Config{PenaltyMost: time.Second, PenaltyFrom: supervisor.Off}, ""},
		{supervisor.Config{KeepAlive: 32767 * time.Second, KeepAliveInterval: 32767 * time.Second, UserTimeout: 24 * 24 * time.Hour}, ""},
		{supervisor.Config{KeepAlive: 32767*time.Second + 1}, "KeepAlive"},
		{supervisor.Config{KeepAliveInterval: 32767*time.Second + 1}, "KeepAliveInterval"},
		{supervisor.Config{UserTimeout: 1 << 31 * time.Millisecond}, "UserTimeout"},
		{supervisor.Config{EarlyRefusal: supervisor.EarlyRefusal{From: supervisor.Off}}, ""},
		{supervisor.Config{EarlyRefusal: supervisor.EarlyRefusal{From: 10, Percent: 101, All: 20}}, "EarlyRefusal"},
		{supervisor.Config{EarlyRefusal: supervisor.EarlyRefusal{From: 10, Percent: 0, All: 9}}, "EarlyRefusal"},
		{supervisor.Config{FrameRate: supervisor.Rate{Events: supervisor.Off}}, ""},
		{supervisor.Config{FrameRate: supervisor.Rate{Events: 1, Per: time.Hour, Burst: 512}}, ""},
		{supervisor.Config{FrameRate: supervisor.Rate{Events: 1, Per: time.Hour, Burst: 511}}, "FrameRate"},
		{supervisor.Config{FrameRate: supervisor.Rate{Events: 1, Burst: 512}}, "FrameRate"},
		{supervisor.Config{ByteRate: supervisor.Rate{Events: 1, Per: time.Second, Burst: 131071}}, "ByteRate"},
		{supervisor.Config{StartRate: supervisor.Rate{Events: -2, Per: time.Second, Burst: 1}}, "StartRate"},
		{supervisor.Config{StartRateTo: supervisor.Rate{Events: 1, Per: time.Second}}, "StartRateTo"},
	} {
		_, err := supervisor.New(c.config)
		switch {
		case c.wrong == "" && err != nil:
			t.Error(err)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), "Config."+c.wrong+" is")):
			t.Errorf("%s: %v", c.wrong, err)
		}
	}
}

// The table of limits in docs/settings.md.
func TestDefaults(t *testing.T) {
	d := supervisor.Defaults()
	for name, c := range map[string][2]any{
		"MinKeyBits":          {d.MinKeyBits, 2048},
		"MaxKeyBits":          {d.MaxKeyBits, 4096},
		"MaxPayload":          {d.MaxPayload, 64 << 10},
		"MaxLoginPayload":     {d.MaxLoginPayload, 2 << 10},
		"MaxSealed":           {d.MaxSealed, 4 << 10},
		"LoginTime":           {d.LoginTime, 10 * time.Second},
		"FrameTime":           {d.FrameTime, 20 * time.Second},
		"Silence":             {d.Silence, 6 * time.Hour},
		"PingInterval":        {d.PingInterval, time.Minute},
		"UsersAway":           {d.UsersAway, 100_000},
		"AwayTime":            {d.AwayTime, 30 * 24 * time.Hour},
		"Pins":                {d.Pins, 1_000_000},
		"Takeovers":           {d.Takeovers, 30},
		"ProofRate":           {d.ProofRate.String(), "10/s burst 10"},
		"PenaltyBadProof":     {d.PenaltyBadProof, 5 * time.Second},
		"KeepAlive":           {d.KeepAlive, time.Minute},
		"KeepAliveInterval":   {d.KeepAliveInterval, 15 * time.Second},
		"KeepAliveProbes":     {d.KeepAliveProbes, 4},
		"UserTimeout":         {d.UserTimeout, time.Minute},
		"Window":              {d.Window, 256 << 10},
		"Stall":               {d.Stall, 2 * time.Second},
		"WriteDeadline":       {d.WriteDeadline, 10 * time.Second},
		"AskedBy":             {d.AskedBy, 64},
		"AskedOf":             {d.AskedOf, 64},
		"AskedOfPerAddress":   {d.AskedOfPerAddress, 8},
		"Sessions":            {d.Sessions, 1024},
		"OnlinePerAddress":    {d.OnlinePerAddress, 64},
		"AnonymousPerAddress": {d.AnonymousPerAddress, 10},
		"EarlyRefusal":        {d.EarlyRefusal.String(), "100:30:1000"},
		"FrameRate":           {d.FrameRate.String(), "2000/s burst 4000"},
		"ByteRate":            {d.ByteRate.String(), "8388608/s burst 16777216"},
		"StartRate":           {d.StartRate.String(), "10/min burst 20"},
		"StartRatePerAddress": {d.StartRatePerAddress.String(), "60/min burst 120"},
		"StartRateTo":         {d.StartRateTo.String(), "60/min burst 100"},
		"PenaltyBadLogin":     {d.PenaltyBadLogin, 5 * time.Second},
		"PenaltyLateLogin":    {d.PenaltyLateLogin, 10 * time.Second},
		"PenaltyFrom":         {d.PenaltyFrom, 15 * time.Second},
		"PenaltyMost":         {d.PenaltyMost, 10 * time.Minute},
		"Crashes":             {d.Crashes, 5},
		"CrashWindow":         {d.CrashWindow, 10 * time.Second},
	} {
		if c[0] != c[1] {
			t.Errorf("%s is %v, want %v", name, c[0], c[1])
		}
	}
	if d.Connections > 10_000 || d.Connections < 1 {
		t.Errorf("Connections is %d", d.Connections)
	}
}

func TestTextsOfRates(t *testing.T) {
	for text, want := range map[string]supervisor.Rate{
		"10/min burst 20":   {Events: 10, Per: time.Minute, Burst: 20},
		"2000/s burst 4000": {Events: 2000, Per: time.Second, Burst: 4000},
		"1/h burst 1":       {Events: 1, Per: time.Hour, Burst: 1},
		"off":               {Events: supervisor.Off},
	} {
		var got supervisor.Rate
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %#v, %v", text, got, err)
		}
		if back, err := want.MarshalText(); err != nil || string(back) != text {
			t.Errorf("%#v is %q, %v", want, back, err)
		}
	}
	for _, text := range []string{"", "10", "10/min", "10/day burst 1", "x/s burst 1", "1/s burst x", "0/s burst 1", "-1/s burst 1", "Off", "1/s  burst"} {
		var got supervisor.Rate
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestTextsOfEarlyRefusals(t *testing.T) {
	for text, want := range map[string]supervisor.EarlyRefusal{
		"100:30:1000": {From: 100, Percent: 30, All: 1000},
		"off":         {From: supervisor.Off},
	} {
		var got supervisor.EarlyRefusal
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %#v, %v", text, got, err)
		}
		if back, err := want.MarshalText(); err != nil || string(back) != text {
			t.Errorf("%#v is %q, %v", want, back, err)
		}
	}
	for _, text := range []string{"", "1:2", "1:2:3:4", "a:b:c", "::", "-1:30:1000"} {
		var got supervisor.EarlyRefusal
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

// Without limits by rate and address exactly those are off; all others stay.
func TestNoRateLimits(t *testing.T) {
	relay, err := supervisor.New(supervisor.Config{NoRateLimits: true, Window: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var off []string
	is, was := reflect.ValueOf(relay.Config()), reflect.ValueOf(supervisor.Defaults())
	for field := range was.Type().Fields() {
		switch field.Name {
		case "Log", "Props", "NoRateLimits", "Window", "Identity", "Store":
			continue
		}
		if fmt.Sprint(is.FieldByName(field.Name)) != fmt.Sprint(was.FieldByName(field.Name)) {
			off = append(off, field.Name)
		}
	}
	want := []string{
		"AskedOfPerAddress", "Takeovers", "OnlinePerAddress", "AnonymousPerAddress", "EarlyRefusal", "FrameRate", "ByteRate",
		"StartRate", "StartRatePerAddress", "StartRateTo", "ProofRate", "PenaltyFrom",
	}
	if !slices.Equal(off, want) {
		t.Errorf("off are %v", off)
	}
	if relay.Config().Window != 1<<20 {
		t.Error("another limit was changed")
	}
}
