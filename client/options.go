package client

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"time"
)

// Options tune a Client. The zero value, and a nil *Options, are safe.
type Options struct {
	// Conns is the number of connections. 0 means one per processor (GOMAXPROCS).
	Conns int

	// DialTimeout bounds making a connection, greeting and AUTH included. 0 means 5 s.
	DialTimeout time.Duration

	// Password proves on every connection who the client is. Empty means that the server asks for none. It
	// crosses the network as it is.
	Password string

	// Username goes with Password. Empty means "default", the user that a server has.
	Username string

	// MaxPending bounds the requests that wait for replies on one connection; further calls wait for
	// their turn. 0 means what the server allows, at most 65,535.
	MaxPending int

	// Durability is the level of every request; see Client.WithDurability. Zero means the server's.
	Durability Durability

	// Checksums adds a CRC-32C to every frame in both directions, for networks that can't be trusted to
	// deliver what was sent. It costs 16 bytes per round trip.
	Checksums bool

	// Name is shown in the server's list of clients: printable ASCII without spaces. Empty means
	// "nitrokv-go".
	Name string

	// Dial makes the network connections, for TLS or tests. nil means a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// withDefaults returns a complete copy, or says which field is wrong.
func (o *Options) withDefaults() (Options, error) {
	var full Options
	if o != nil {
		full = *o
	}
	if full.Conns < 0 || full.MaxPending < 0 || full.DialTimeout < 0 || len(full.Name) > 1024 {
		return full, fmt.Errorf("nitrokv: options: Conns %d, MaxPending %d and DialTimeout %v must not be "+
			"negative, Name (%d bytes) at most 1,024 bytes", full.Conns, full.MaxPending, full.DialTimeout,
			len(full.Name))
	}
	if full.Durability > Always {
		return full, fmt.Errorf("nitrokv: options: Durability is %d; use one of the constants ServerDefault to Always",
			full.Durability)
	}
	for i := range len(full.Name) {
		if b := full.Name[i]; b <= ' ' || b > '~' {
			return full, fmt.Errorf("nitrokv: options: Name %q may have the characters ! to ~ only", full.Name)
		}
	}
	if err := full.checkAuth(); err != nil {
		return full, err
	}
	if full.Conns == 0 {
		full.Conns = runtime.GOMAXPROCS(0)
	}
	if full.DialTimeout == 0 {
		full.DialTimeout = 5 * time.Second
	}
	if full.MaxPending == 0 || full.MaxPending > idMax {
		full.MaxPending = idMax
	}
	if full.Name == "" {
		full.Name = "nitrokv-go"
	}
	if full.Username == "" {
		full.Username = "default"
	}
	if full.Dial == nil {
		full.Dial = (&net.Dialer{}).DialContext
	}
	return full, nil
}

// checkAuth never shows the password.
func (o *Options) checkAuth() error {
	if o.Username != "" && o.Password == "" {
		return fmt.Errorf("nitrokv: options: Username %q has no Password; set both or none", o.Username)
	}
	if n := len(o.Username) + len(o.Password); n > authMax {
		return fmt.Errorf("nitrokv: options: Username and Password have %d bytes, at most %d can be sent", n, authMax)
	}
	return nil
}
