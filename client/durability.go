package client

import (
	"fmt"

	"github.com/nitrokv/nitrokv/proto"
)

// Durability says how safe a thing must be before the server acknowledges it to this client, or shows it: a
// read waits as well, if what it would answer is not yet as safe as its level demands.
type Durability uint8

// The levels. A server without a log answers ErrUnsupported to EverySec and Always.
const (
	ServerDefault Durability = iota // the level that the server is set to
	Never                           // survives the end of the server's process; a power loss takes what was not synced
	EverySec                        // the same, and a power loss takes the last second at most
	Always                          // survives a power loss
)

// levels are the names and the bits of the wire.
var levels = [...]struct {
	name  string
	flags proto.Flags
}{
	ServerDefault: {"default", proto.DurabilityDefault},
	Never:         {"never", proto.DurabilityNever},
	EverySec:      {"everysec", proto.DurabilityEverySec},
	Always:        {"always", proto.DurabilityAlways},
}

// String returns the level's name in the server's options.
func (d Durability) String() string {
	if int(d) < len(levels) {
		return levels[d].name
	}
	return fmt.Sprintf("durability %d", uint8(d))
}

func (d Durability) flags() proto.Flags { return levels[d].flags }

// WithDurability returns a client whose requests have another level. It shares the connections with c, costs
// nothing to make, and ends with c: close only one of the two.
//
//	err := c.WithDurability(client.Never).Set(ctx, "seen:42", now) // may be lost if the power fails
//
// It panics if the level is none of the constants.
func (c *Client) WithDurability(level Durability) *Client {
	return &Client{pool: c.pool, level: level.flags()}
}
