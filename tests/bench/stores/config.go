package main

import (
	"errors"
	"flag"
	"io"
	"time"
)

// config is what a run measures and how long.
type config struct {
	rows  string // prefixes of ids, comma-separated; empty: all
	out   string
	data  string // parent of the run's folder; empty: the temporary folder
	list  bool
	quick bool

	rounds   int
	attempts int           // how often a row is measured when its base isn't steady
	duration time.Duration // of one measurement that does not end by itself

	sets      int // keys of the rows of writing, and of get-cached
	startKeys int
	mergeKeys int
	ramKeys   int // in the smaller row
	keys      int // in get-cold and the larger row of memory

	goroutines int
	writers    int // in set-sync
	rate       int // operations per second of each goroutine in merge-p99
	valueBytes int
	fileBytes  int64 // NitroKV's --max-file-size
}

const (
	spreadMax    = 0.10 // of the base's samples, beyond which a row is thrown away
	ramValue     = 64   // bytes; the index does not know how large values are
	valueMin     = stampBytes
	valueMax     = 64 << 10
	fileBytesMin = 64 << 10
)

func defaultConfig() config {
	return config{
		rounds:     5,
		attempts:   2,
		duration:   3 * time.Second,
		sets:       300_000,
		startKeys:  1_000_000,
		mergeKeys:  200_000,
		ramKeys:    1_000_000,
		keys:       10_000_000,
		goroutines: 8,
		writers:    50,
		rate:       2000,
		valueBytes: 1 << 10,
		fileBytes:  128 << 20,
	}
}

// shrink makes a run that only shows that everything works.
func (c *config) shrink() {
	c.rounds, c.attempts = min(c.rounds, 2), 1
	c.duration = min(c.duration, 300*time.Millisecond)
	c.sets, c.startKeys, c.mergeKeys = min(c.sets, 5000), min(c.startKeys, 20_000), min(c.mergeKeys, 10_000)
	c.ramKeys, c.keys = min(c.ramKeys, 50_000), min(c.keys, 100_000)
	c.rate = max(c.rate, 5000) // enough operations for a p99 in so short a time
	c.fileBytes = min(c.fileBytes, 2<<20)
}

// flags binds the fields to their flags.
func (c *config) flags(fs *flag.FlagSet) {
	fs.StringVar(&c.rows, "rows", "", "measure only the rows whose id begins with this (comma-separated)")
	fs.StringVar(&c.out, "out", "", "also write the rows as Markdown to this file")
	fs.StringVar(&c.data, "data", "", "folder for the data, on a disk (default: the temporary folder)")
	fs.BoolVar(&c.list, "list", false, "list the rows, the limits, the contenders and their options")
	fs.BoolVar(&c.quick, "quick", false, "a rehearsal: few keys and short rounds; not for the record")
	fs.IntVar(&c.rounds, "rounds", c.rounds, "alternating rounds of each row")
	fs.IntVar(&c.attempts, "attempts", c.attempts, "how often a row is measured when its base isn't steady")
	fs.DurationVar(&c.duration, "duration", c.duration, "of one measurement that does not end by itself")
	fs.IntVar(&c.sets, "sets", c.sets, "keys in set-nosync and get-cached, at most so many in set-sync")
	fs.IntVar(&c.startKeys, "start-keys", c.startKeys, "keys in startup-hints and startup-peers")
	fs.IntVar(&c.mergeKeys, "merge-keys", c.mergeKeys, "keys in merge-p99")
	fs.IntVar(&c.ramKeys, "ram-keys", c.ramKeys, "keys in ram-per-key-1m")
	fs.IntVar(&c.keys, "keys", c.keys, "keys in get-cold and ram-per-key-10m")
	fs.IntVar(&c.goroutines, "goroutines", c.goroutines, "goroutines that call a store")
	fs.IntVar(&c.writers, "writers", c.writers, "… in set-sync")
	fs.IntVar(&c.rate, "rate", c.rate, "GETs, and SETs, per second in merge-p99")
	fs.IntVar(&c.valueBytes, "value", c.valueBytes, "bytes of a value, except in ram-per-key")
	fs.Int64Var(&c.fileBytes, "file-bytes", c.fileBytes, "size of one of NitroKV's data files")
}

// parseConfig reads the flags; help goes to w.
func parseConfig(args []string, w io.Writer) (config, error) {
	cfg := defaultConfig()
	fs := flag.NewFlagSet("stores", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // an error is one line, of main
	fs.Usage = fs.PrintDefaults
	cfg.flags(fs)
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		fs.SetOutput(w)
		fs.Usage()
		return cfg, err
	} else if err != nil {
		return cfg, refusef("%v; -h lists the flags", err)
	}
	if fs.NArg() > 0 {
		return cfg, refusef("unexpected argument %q; rows are chosen with -rows", fs.Arg(0))
	}
	if cfg.quick {
		cfg.shrink()
	}
	return cfg, cfg.check()
}

// check refuses sizes with which nothing can be measured.
func (c *config) check() error {
	counts := []struct {
		name  string
		value int
	}{
		{"rounds", c.rounds}, {"attempts", c.attempts}, {"sets", c.sets}, {"start-keys", c.startKeys},
		{"merge-keys", c.mergeKeys}, {"ram-keys", c.ramKeys}, {"keys", c.keys}, {"goroutines", c.goroutines},
		{"writers", c.writers}, {"rate", c.rate},
	}
	for _, n := range counts {
		if n.value < 1 || n.value > keysMax {
			return refusef("-%s %d: it must be 1 to %d", n.name, n.value, keysMax)
		}
	}
	switch {
	case c.duration <= 0:
		return refusef("-duration %v: it must be more than nothing", c.duration)
	case c.valueBytes < valueMin || c.valueBytes > valueMax:
		return refusef("-value %d: it must be %d to %d", c.valueBytes, valueMin, valueMax)
	case c.fileBytes < fileBytesMin:
		return refusef("-file-bytes %d: it must be %d or more", c.fileBytes, fileBytesMin)
	}
	return nil
}
