package main

import (
	"context"
	"fmt"
	"strings"
)

// A limit is what a row must reach and what it should.
type limit struct {
	must, reach float64
	atLeast     bool // larger is better
}

func atMost(must, reach float64) limit  { return limit{must: must, reach: reach} }
func atLeast(must, reach float64) limit { return limit{must: must, reach: reach, atLeast: true} }

func (l limit) holds(value, bound float64) bool {
	if l.atLeast {
		return value >= bound
	}
	return value <= bound
}

// text shows the limit as "≤ 28 (21)".
func (l limit) text() string {
	sign := "≤"
	if l.atLeast {
		sign = "≥"
	}
	return fmt.Sprintf("%s %g (%g)", sign, l.must, l.reach)
}

// A result is what measuring a row gave.
type result struct {
	value   float64 // compared with the limit
	worst   float64 // our worst sample beside the best one of what we are compared with; 0: not known
	samples *samples
	base    *series // what we are compared with; nil: the row has none
	noPeer  bool    // there is nobody to be compared with
	notes   []string
}

// steady says whether what we are compared with was.
func (r result) steady() bool {
	return r.base == nil || summarize(r.base.values).spread() <= spreadMax
}

// A row is one line of the comparison.
type row struct {
	id, title string
	limit     limit
	bytes     func(c config) int64 // on the disk, at the most
	measure   func(ctx context.Context, s *session) (result, error)
}

// rows is the table of the comparison, in the order of its printing.
// CHECKLIST for a new row: here, doc.go, and the table in docs/BENCHMARKS.md.
func rows() []row {
	return []row{
		{"set-nosync", "SETs per second without sync, one a call, vs the best peer; all read back", atLeast(1.5, 3),
			oneStore(func(c config) int { return c.sets }), setRow(false)},
		{"get-cached", "GETs per second of data in the page cache vs the best peer", atLeast(1.5, 3),
			allStores(func(c config) int { return c.sets }), cachedRow},
		{"get-cold", "GETs per second of data not in the page cache vs random preads of the same files", atLeast(0.85, 0.95),
			oneStore(func(c config) int { return c.keys }), coldRow},
		{"set-sync", "SETs per second with a sync for every write, many writers, vs the best peer; all read back", atLeast(1.3, 3),
			oneStore(func(c config) int { return c.sets }), setRow(true)},
		{"startup-hints", "start without hint files vs with them, time", atLeast(8, 30),
			oneStore(func(c config) int { return c.startKeys }), hintsRow},
		{"startup-peers", "start, keys per second, vs the best peer that rebuilds an index in memory", atLeast(2, 6),
			allStores(func(c config) int { return c.startKeys }), startRow},
		{"merge-p99-get", "p99 of GETs during merges vs idle", atMost(2, 1.2),
			oneStore(func(c config) int { return 2 * c.mergeKeys }), mergeRow(mergeGet, idleGet)},
		{"merge-p99-set", "p99 of SETs during merges vs idle", atMost(2, 1.2),
			oneStore(func(c config) int { return 2 * c.mergeKeys }), mergeRow(mergeSet, idleSet)},
		{"ram-per-key-1m", "resident bytes per key beyond the key, smaller store", atMost(28, 21),
			ramBytes(func(c config) int { return c.ramKeys }), ramRow(func(c config) int { return c.ramKeys })},
		{"ram-per-key-10m", "… larger store", atMost(28, 21),
			ramBytes(func(c config) int { return c.keys }), ramRow(func(c config) int { return c.keys })},
	}
}

// What a row writes at the most. amplified allows for half-empty pages, logs beside tables, and copies during compactions.
const (
	amplified   = 3
	recordExtra = 64 // bytes of a record beyond key and value
	fixedBytes  = 3 << 30
)

func oneStore(keys func(config) int) func(config) int64 {
	return func(c config) int64 {
		return fixedBytes + amplified*int64(keys(c))*int64(c.valueBytes+keyBytes+recordExtra)
	}
}

func allStores(keys func(config) int) func(config) int64 {
	return func(c config) int64 { return int64(len(reading())) * oneStore(keys)(c) }
}

func ramBytes(keys func(config) int) func(config) int64 {
	return func(c config) int64 {
		c.valueBytes = ramValue
		return oneStore(keys)(c)
	}
}

// chosen returns the rows whose id begins with one of the comma-separated prefixes.
func chosen(only string) ([]row, error) {
	if only == "" {
		return rows(), nil
	}
	var out []row
	for _, r := range rows() {
		for prefix := range strings.SplitSeq(only, ",") {
			if strings.HasPrefix(r.id, prefix) {
				out = append(out, r)
				break
			}
		}
	}
	if len(out) == 0 {
		return nil, refusef("-rows %q names no row; -list shows them", only)
	}
	return out, nil
}
