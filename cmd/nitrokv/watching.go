package main

import (
	"errors"
	"net"
	"strconv"
	"strings"

	"github.com/nitrokv/nitrokv/server"
)

// watchConfig is what the options of "nitrokv serve" about watching it set.
type watchConfig struct {
	http       string // empty: no listener
	slowMicros int64  // as server.Options.SlowlogMicros
	slowLen    int    // as server.Options.SlowlogLen
}

// slowlogLenMax is the longest slow log.
const slowlogLenMax = 100_000

func (c *watchConfig) options() []option {
	return []option{
		{name: "http", arg: "HOST:PORT", def: server.DefaultHTTP, set: httpTo(&c.http),
			help: "Address that says by HTTP how the server is: /livez, /readyz, /version and /metrics; off: none"},
		{name: "slowlog-log-slower-than", arg: "N", def: strconv.Itoa(server.DefaultSlowlogMicros), set: slowerTo(&c.slowMicros),
			help: "Microseconds that a request must run to be kept for SLOWLOG; 0: every request is, -1: none"},
		{name: "slowlog-max-len", arg: "N", def: strconv.Itoa(server.DefaultSlowlogLen), set: slowLenTo(&c.slowLen),
			help: "How many requests SLOWLOG keeps"},
	}
}

// apply passes the settings on. A second server finds the default address taken; that is no reason not to start.
func (c *watchConfig) apply(o *server.Options, found map[string]setting) {
	o.HTTP, o.HTTPOptional = c.http, found["http"].from == fromDefault
	o.SlowlogMicros, o.SlowlogLen = c.slowMicros, c.slowLen
}

func httpTo(dst *string) func(string) error {
	return func(text string) error {
		if strings.EqualFold(text, "off") {
			*dst = ""
			return nil
		}
		if !isAddress(text) {
			return errors.New("not an address; write host:port, for example 127.0.0.1:8379, or off")
		}
		*dst = text
		return nil
	}
}

// isAddress reports whether text is a host, which may be empty, and a port.
func isAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	n, perr := strconv.Atoi(port)
	return err == nil && perr == nil && n >= 0 && n <= 65535
}

// slowerTo translates to server.Options, where 0 is the default.
func slowerTo(dst *int64) func(string) error {
	return func(text string) error {
		n, err := strconv.ParseInt(text, 10, 64)
		switch {
		case err != nil || n < -1:
			return errors.New("not a number of microseconds; write for example 10000, 0 for every request, or -1 for none")
		case n == -1:
			*dst = server.SlowlogNone
		case n == 0:
			*dst = server.SlowlogAll
		default:
			*dst = n
		}
		return nil
	}
}

// slowLenTo translates to server.Options, where 0 is the default.
func slowLenTo(dst *int) func(string) error {
	return func(text string) error {
		if err := intTo(dst, 0, slowlogLenMax)(text); err != nil {
			return err
		}
		if *dst == 0 {
			*dst = -1
		}
		return nil
	}
}
