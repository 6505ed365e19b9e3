package load

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// Protocol is the wire format of the load.
type Protocol string

// The protocols.
const (
	Binary Protocol = "binary"
	RESP   Protocol = "resp"
)

// Distribution says which keys are asked for how often.
type Distribution string

// The distributions. The last two belong to the workloads.
const (
	Uniform   Distribution = "uniform"
	Zipfian   Distribution = "zipfian"           // over Keys ranks
	Scrambled Distribution = "scrambled-zipfian" // over 10^10 ranks that are hashed to keys, as YCSB does it
	Latest    Distribution = "latest"            // zipfian, the newest key first
)

// Durability is how safe a thing must be before the server acknowledges or shows it.
type Durability string

// The levels. The zero value is ServerDefault too.
const (
	ServerDefault Durability = "default"
	Never         Durability = "never"
	EverySec      Durability = "everysec"
	Always        Durability = "always"
)

// durabilityFlags are the levels' bits in a request of the binary protocol.
var durabilityFlags = map[Durability]proto.Flags{
	"": proto.DurabilityDefault, ServerDefault: proto.DurabilityDefault, Never: proto.DurabilityNever,
	EverySec: proto.DurabilityEverySec, Always: proto.DurabilityAlways,
}

// Limits of a Config.
const (
	MaxClients   = 60000   // the ports of one local address
	MaxPipeline  = 1 << 14 // request ids have 16 bits
	MaxKeys      = 1e12    // twelve digits
	MaxValueSize = 8 << 20 // one frame of the binary protocol, with room to spare
	MinVerify    = 8       // a verified value starts with its version
)

// Config describes a run. Every field is needed unless its comment says otherwise; Validate reports what is wrong.
type Config struct {
	Addr         string
	Protocol     Protocol
	Password     string // what every connection gives before anything else; empty: none is asked for
	Clients      int
	Pipeline     int
	Threads      int
	Keys         int64
	ValueMin     int // bytes; values are ValueMin to ValueMax long, evenly distributed
	ValueMax     int
	Workload     Workload // decides the next three fields, which must be zero; empty: they count
	ReadRatio    float64  // share of GETs, 0 to 1
	Distribution Distribution
	ZipfTheta    float64 // between 0 and 1, exclusive; larger is more skewed; only for Zipfian
	Rate         float64 // requests per second in all; 0: closed loop
	Requests     int64   // end after so many; 0: end after Duration
	Duration     time.Duration
	Warmup       time.Duration // 0: none
	Timeout      time.Duration // a connection that waits longer for a reply ends the run
	Durability   Durability    // of every request; only Binary has levels other than ServerDefault
	Load         bool          // set every key before the measurement
	Verify       bool          // check every reply; implies Load
	Seed         uint64        // of keys, values and operations

	// Progress gets a line once a second. Nil: none.
	Progress io.Writer
	// ProgressRedraw ends progress lines with a carriage return, for a terminal.
	ProgressRedraw bool
}

// Validate reports the first setting that can't work, by the name of its command-line flag.
func (c *Config) Validate() error {
	return errors.Join(c.validateWorkload(), c.validateLoad(), c.validateDurability(), c.validateKeys(), c.validateVerify(), c.validateLength())
}

func (c *Config) validateDurability() error {
	flags, known := durabilityFlags[c.Durability]
	switch {
	case !known:
		return fmt.Errorf("--durability %q: unknown level; use default, never, everysec or always", c.Durability)
	case flags != proto.DurabilityDefault && c.Protocol != Binary:
		return fmt.Errorf("--durability %s with --protocol %s: only the binary protocol carries a level in each request; set the server's own", c.Durability, c.Protocol)
	}
	return nil
}

func (c *Config) validateLoad() error {
	switch {
	case c.Protocol != Binary && c.Protocol != RESP:
		return fmt.Errorf("--protocol %q: unknown protocol; use binary or resp", c.Protocol)
	case c.Clients < 1 || c.Clients > MaxClients:
		return fmt.Errorf("--clients %d: out of range; use 1 to %d", c.Clients, MaxClients)
	case c.Pipeline < 1 || c.Pipeline > MaxPipeline:
		return fmt.Errorf("--pipeline %d: out of range; use 1 to %d", c.Pipeline, MaxPipeline)
	case c.Threads < 1 || c.Threads > c.Clients:
		return fmt.Errorf("--threads %d: out of range; use 1 to the number of clients (%d)", c.Threads, c.Clients)
	case !(c.Rate >= 0 && c.Rate <= 1e9):
		return fmt.Errorf("--rate %g: out of range; use requests per second, or 0 for a closed loop", c.Rate)
	}
	return nil
}

func (c *Config) validateKeys() error {
	switch {
	case c.Keys < 1 || c.Keys > MaxKeys:
		return fmt.Errorf("--keys %d: out of range; use 1 to %d", c.Keys, int64(MaxKeys))
	case c.ValueMin < 0 || c.ValueMin > c.ValueMax || c.ValueMax > MaxValueSize:
		return fmt.Errorf("--value-size %d-%d: out of range; use 0 to %d, smaller size first", c.ValueMin, c.ValueMax, MaxValueSize)
	case c.Workload != "":
		return nil // the rest is what the workload decides
	case !(c.ReadRatio >= 0 && c.ReadRatio <= 1):
		return fmt.Errorf("--read-ratio %g: out of range; use 0 (only SET) to 1 (only GET)", c.ReadRatio)
	case c.Distribution != Uniform && c.Distribution != Zipfian:
		return fmt.Errorf("--distribution %q: unknown distribution; use uniform or zipfian", c.Distribution)
	case c.Distribution == Zipfian && !(c.ZipfTheta > 0 && c.ZipfTheta < 1):
		return fmt.Errorf("--zipf-theta %g: out of range; use more than 0 and less than 1", c.ZipfTheta)
	}
	return nil
}

func (c *Config) validateVerify() error {
	switch {
	case c.Verify && c.ValueMin < MinVerify:
		return fmt.Errorf("--value-size %d with --verify: too small to check; use at least %d", c.ValueMin, MinVerify)
	case c.Verify && c.Keys < int64(c.Clients):
		return fmt.Errorf("--keys %d with --verify: each of the %d clients needs a key of its own; use more keys or fewer clients", c.Keys, c.Clients)
	case c.Verify && c.Keys > 1<<30:
		return fmt.Errorf("--keys %d with --verify: 4 bytes are kept per key; use at most %d", c.Keys, 1<<30)
	}
	return nil
}

func (c *Config) validateLength() error {
	switch {
	case c.Requests < 0:
		return fmt.Errorf("--requests %d: negative; use a positive number", c.Requests)
	case c.Requests == 0 && c.Duration <= 0:
		return fmt.Errorf("--duration %v: not positive; say how long, or how many --requests", c.Duration)
	case c.Requests > 0 && c.Duration > 0:
		return fmt.Errorf("--requests %d and --duration %v: both given; use one", c.Requests, c.Duration)
	case c.Warmup < 0:
		return fmt.Errorf("--warmup %v: negative; use 0 for none", c.Warmup)
	case c.Timeout <= 0:
		return fmt.Errorf("--timeout %v: not positive; use for example 10s", c.Timeout)
	}
	return nil
}
