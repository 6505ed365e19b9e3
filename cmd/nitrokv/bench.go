package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/load"
)

// benchConfig is what further options of "nitrokv bench" set.
type benchConfig struct {
	load         load.Config
	protocol     string
	durability   string
	workload     string
	distribution string
	seed         int64
	progress     bool
	json         bool
}

// benchDuration is how long a measurement takes if nothing is said.
const benchDuration = 10 * time.Second

func (c *benchConfig) options() []option {
	l := &c.load
	return []option{
		{name: "protocol", arg: "NAME", def: "binary", flag: true, set: wordTo(&c.protocol, "binary", "resp"),
			help: "binary, or resp for any Redis-compatible server"},
		{name: "durability", arg: "LEVEL", def: "default", flag: true, set: wordTo(&c.durability, "default", "never", "everysec", "always"),
			help: "Of every request of the binary protocol; default: the server's level"},
		{name: "clients", arg: "N", def: "50", flag: true, set: intTo(&l.Clients, 1, load.MaxClients), help: "Connections"},
		{name: "pipeline", arg: "N", def: "1", flag: true, set: intTo(&l.Pipeline, 1, load.MaxPipeline),
			help: "Requests that a connection sends in one write before it waits for their replies"},
		{name: "threads", arg: "N", def: "1", flag: true, set: intTo(&l.Threads, 1, 1024), help: "Event loops, each on a thread of its own"},
		{name: "workload", arg: "NAME", flag: true, set: workloadTo(&c.workload),
			help: "A core workload of YCSB, a, b, c, d or f: decides read ratio and distribution; values have 1000 bytes unless --value-size says otherwise"},
		{name: "keys", arg: "N", def: "1000000", flag: true, set: countTo(&l.Keys), help: "Number of different keys, each of 16 bytes"},
		{name: "value-size", arg: "SIZE", def: "64", flag: true, set: rangeTo(&l.ValueMin, &l.ValueMax),
			help: "Bytes of a value, or a range such as 16-512; values are random and don't compress"},
		{name: "read-ratio", arg: "SHARE", def: "0.5", flag: true, set: floatTo(&l.ReadRatio), help: "Share of GETs, 0 to 1; the rest are SETs"},
		{name: "distribution", arg: "NAME", def: "uniform", flag: true, set: wordTo(&c.distribution, "uniform", "zipfian"),
			help: "uniform, or zipfian: few keys are asked for most of the time"},
		{name: "zipf-theta", arg: "T", def: "0.99", flag: true, set: floatTo(&l.ZipfTheta), help: "Skew of zipfian, between 0 and 1"},
		{name: "rate", arg: "N", def: "0", flag: true, set: floatTo(&l.Rate),
			help: "Open loop: requests per second in all, latency counted from when each was due; 0: closed loop"},
		{name: "requests", arg: "N", def: "0", flag: true, set: countTo(&l.Requests), help: "Measure so many requests"},
		{name: "duration", arg: "DURATION", def: "0s", flag: true, set: durationTo(&l.Duration),
			help: "Measure that long; 10s if neither this nor --requests is given"},
		{name: "warmup", arg: "DURATION", def: "0s", flag: true, set: durationTo(&l.Warmup), help: "Send the same load that long before measuring"},
		{name: "load", def: "false", flag: true, set: boolTo(&l.Load), help: "Set every key before"},
		{name: "verify", def: "false", flag: true, set: boolTo(&l.Verify),
			help: "Check every reply against what was written, and read all keys back at the end; implies --load; nobody else may write these keys"},
		{name: "seed", arg: "N", def: "1", flag: true, set: countTo(&c.seed), help: "Of keys, values and operations; the same seed makes the same load"},
		{name: "progress", def: "false", flag: true, set: boolTo(&c.progress), help: "Show progress once a second on stderr even if it is no terminal"},
		{name: "json", def: "false", flag: true, set: boolTo(&c.json), help: "Write the result as one JSON object"},
	}
}

const benchLong = `Load a server with GETs and SETs and report throughput and latency.

In a closed loop every connection sends its next pipeline when the last one is answered: that finds the throughput. With
--rate the loop is open: requests are due at fixed times whatever the server does, and latency counts from then, so a
server that stalls can't hide it by stalling the load as well. Requests that never could be sent are reported as unsent
and counted with the time they waited.

--workload runs a core workload of YCSB (Cooper et al., "Benchmarking Cloud Serving Systems with YCSB", SoCC 2010):
  a  update heavy       50 % reads, 50 % updates               scrambled zipfian
  b  read mostly        95 % reads,  5 % updates               scrambled zipfian
  c  read only         100 % reads                             scrambled zipfian
  d  read latest        95 % reads,  5 % inserts               latest: zipfian, the newest key first
  f  read-modify-write  50 % reads, 50 % read-modify-writes    scrambled zipfian
The zipfian constant is 0.99. A record of ten fields of 100 bytes is one value of 1000 bytes under a key user000000000042;
an update writes all of it. A read-modify-write is a GET and then a SET of the value with one field changed; it is one
operation in all figures, and its latency, under rmw, is that of both together. --load makes the records first. Workload e
reads ranges of keys in order, which a store without an order of keys can't; it is refused.

The last line of the report says what the generator itself used. If it was busy all the time it was the limit, not the
server: give it more --threads.

--json writes one object. Settings: addr protocol loop clients pipeline threads keys value_size_min value_size_max
workload read_ratio distribution zipf_theta rate durability seed. Result: seconds, requests (answered without an error),
ops_per_second, misses, unsent, errors, first_error, verified, mismatches, first_mismatch, value_bytes_read, bytes_sent,
bytes_received, interrupted. Latency in microseconds, under get, set, rmw and all: requests mean_us p50_us p90_us p99_us
p99_9_us p99_99_us max_us. Cost of the load itself, under generator: user_ns_per_request system_ns_per_request busy.

The exit status is 2 after error replies and wrong replies, too.`

func newBench(t terminal) *cobra.Command {
	var kv kvConfig
	var cfg benchConfig
	s := &settings{options: append(cfg.options(), kv.serverOptions()...)}
	c := &cobra.Command{
		Use:     "bench [options]",
		Short:   "Measure this or any other Redis-compatible server",
		Long:    benchLong,
		Example: "  nitrokv bench --load --duration 30s\n  nitrokv bench --protocol resp --addr 127.0.0.1:6380 --pipeline 64\n  nitrokv bench --rate 50000 --duration 1m\n  nitrokv bench --workload a --load --keys 100000",
		Args:    noOperands,
		RunE: func(c *cobra.Command, _ []string) error {
			warnUnknown(t)
			err := s.resolve(t.env)
			if err == nil {
				err = cfg.chooseWorkload(s)
			}
			if err == nil {
				err = cfg.run(&kv, t)
			}
			if err != nil {
				return fmt.Errorf("bench: %w", err)
			}
			return nil
		},
	}
	c.DisableFlagsInUseLine = true
	s.attach(c)
	return c
}

// chooseWorkload lets a workload decide what it decides, unless the command line says otherwise.
func (c *benchConfig) chooseWorkload(s *settings) error {
	if c.workload == "" {
		return nil
	}
	for _, name := range []string{"read-ratio", "distribution", "zipf-theta"} {
		if s.found[name].from == fromFlag {
			return fmt.Errorf("--%s and --workload %s: the workload decides that; drop one of them", name, c.workload)
		}
	}
	l := &c.load
	l.Workload, l.ReadRatio, l.ZipfTheta, c.distribution = load.Workload(c.workload), 0, 0, ""
	if s.found["value-size"].from == fromDefault {
		l.ValueMin, l.ValueMax = load.RecordSize, load.RecordSize
	}
	return nil
}

// run measures. The first signal ends the measurement early, with a report; a second one ends the process.
func (c *benchConfig) run(kv *kvConfig, t terminal) error {
	password, err := kv.readPassword(t)
	if err != nil {
		return err
	}
	c.load.Password = password
	c.complete(kv, t)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	report, err := load.Run(ctx, c.load)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return kv.explain(ctx, err)
	case err != nil:
		return err
	}
	write := report.WriteTable
	if c.json {
		write = report.WriteJSON
	}
	if err := write(t.stdout); err != nil {
		return fmt.Errorf("write the report to stdout: %w", err)
	}
	return report.Problem()
}

// complete moves what the options set to where load expects it.
func (c *benchConfig) complete(kv *kvConfig, t terminal) {
	l := &c.load
	l.Addr, l.Timeout = kv.addr, kv.timeout
	l.Durability = load.Durability(c.durability)
	l.Protocol, l.Distribution, l.Seed = load.Protocol(c.protocol), load.Distribution(c.distribution), uint64(c.seed)
	if l.Requests == 0 && l.Duration == 0 {
		l.Duration = benchDuration
	}
	if tty := isTerminal(t.stderr); tty || c.progress {
		l.Progress, l.ProgressRedraw = t.stderr, tty
	}
}

// rangeTo reads a size or two with a dash between.
func rangeTo(low, high *int) func(string) error {
	return func(text string) error {
		first, second, isRange := strings.Cut(text, "-")
		if !isRange {
			second = first
		}
		a, errA := parseSize(first)
		b, errB := parseSize(second)
		if errA != nil || errB != nil || a > b || b > load.MaxValueSize {
			return fmt.Errorf("not a size up to %d bytes or a range of sizes; write for example 64 or 16-512", load.MaxValueSize)
		}
		*low, *high = int(a), int(b)
		return nil
	}
}
