package main

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// A limit is what a row must reach and what it should.
type limit struct {
	must, reach float64
	atLeast     bool // larger is better
	none        bool // for information only
}

func atMost(must, reach float64) limit  { return limit{must: must, reach: reach} }
func atLeast(must, reach float64) limit { return limit{must: must, reach: reach, atLeast: true} }

var forInformation = limit{none: true}

func (l limit) holds(value, bound float64) bool {
	if l.atLeast {
		return value >= bound
	}
	return value <= bound
}

func (l limit) sign() string {
	if l.atLeast {
		return "≥"
	}
	return "≤"
}

// A series is all samples of one contender, or of one quantity, in a row.
type series struct {
	name, unit string
	values     []float64
}

// A result is what measuring a row gave.
type result struct {
	value      float64  // compared with the limit
	reachValue *float64 // compared with limit.reach instead of value, where the issue names another quantity
	series     []series
	notes      []string
	discarded  string // why the row says nothing, or empty
	broken     string // a condition beside the number that doesn't hold: a MISS whatever the number
}

// A row is one line of the comparison.
type row struct {
	id      string
	title   string
	limit   limit
	measure func(ctx context.Context, s *session) (result, error)
}

// A session is a run with what rows share: the speed rows use the same loads.
type session struct {
	*bench
	speed  *speed
	memory map[int]*memoryRun
	tools  *toolbox

	disk     disk     // of the rows about durability, looked at when the first of them is measured
	reads    *samples // of two rows
	everysec *samples // of two rows

	overwrites *overwriting // of two rows
}

// rows is the table of the comparison, in the order of its printing.
// CHECKLIST for a new row: here, and the table in docs/BENCHMARKS.md.
func rows() []row {
	return []row{
		{"cpu-p1", "server CPU per request vs Redis, no pipelining", atMost(1.10, 0.90), cpuRow(1)},
		{"cpu-p16", "… pipeline 16", atMost(0.50, 0.36), cpuRow(16)},
		{"cpu-p64", "… pipeline 64", atMost(0.27, 0.18), cpuRow(64)},
		{"ops-p64", "requests per second at pipeline 64 vs Redis", atLeast(3, 5), opsRow(64)},
		{"p99", "p99 without pipelining vs Redis, open loop at half of Redis's maximum", atMost(1.1, 0.6), p99Row},
		{"unpinned", "requests per second at pipeline 64 vs Redis, nothing pinned", forInformation, unpinnedRow},
		{"threads-p1", "in-process throughput of 2 goroutines vs 1, no pipelining", atLeast(1.5, 1.8), threadsRow("p1")},
		{"threads-p16", "… pipeline 16", atLeast(1.5, 1.8), threadsRow("p16")},
		{"threads-p64", "… pipeline 64", atLeast(1.5, 1.8), threadsRow("p64")},
		{"threads-hot", "… all writes on one key", atLeast(0.7, 0.9), threadsRow("hot")},
		{"memory-1m", "resident bytes per key beyond key and value, smaller store", atMost(26, 20), memoryRow(false, fillPhase)},
		{"memory-10m", "… larger store", atMost(26, 20), memoryRow(true, fillPhase)},
		{"memory-c", "… in a C process without Go, smaller store", atMost(26, 20), cMemoryRow("fill_per_key")},
		{"memory-c-10m", "… larger store", atMost(26, 20), cMemoryLargeRow},
		{"memory-stats", "what nitro_stats says vs the resident growth of a C process, error", atMost(0.03, 0.01), cMemoryRow("stats_error")},
		{"overwrite", "bytes per key after 5 overwrites of 16–512 B a key", atMost(40, 32), memoryRow(false, overwritePhase)},
		{"overwrite-c", "… in a C process", atMost(40, 32), cMemoryRow("overwrite_per_key")},
		{"delete", "resident vs live bytes ten seconds after deleting 90 %", atMost(2, 1.5), memoryRow(false, deletePhase)},
		{"delete-c", "… in a C process", atMost(2, 1.5), cMemoryRow("delete_ratio")},
		{"table-work", "most work of one call while the table grows, share of the asserted bound", atMost(1, 1), tableWorkRow},
		{"table-ops", "SETs over 50 µs of thread CPU (reach: 20 µs) beyond an empty clock loop's", atMost(5, 5), tableOpsRow("empty")},
		{"table-ops-touch", "… beyond a loop's that changes as many lines of as much memory", atMost(5, 5), tableOpsRow("touch")},
		{"collide-chain", "entries one call walks under attack, hash switch compiled off", atLeast(1000, 1000), collideChainRow},
		{"collide-one", "keys with one equal seeded hash in one segment vs honest keys, time", atMost(3, 1.5), collideRow(1)},
		{"collide-many", "… that differ only in what the choice of segment reads", atMost(3, 1.5), collideRow(256)},
		{"get-chain", "dependent GETs, larger store, vs two dependent DRAM misses", atMost(1.4, 1.15), getChainRow("get_ns")},
		{"mget", "64-key MGET per key vs two dependent DRAM misses", atMost(0.35, 0.28), getChainRow("mget_key_ns")},
		{"idle", "resident bytes per idle connection after one SET", atMost(8192, 4096), idleRow},

		{"dur-always-1", "always: SETs per second on 1 connection vs Redis", atLeast(1.3, 1.6), alwaysRow(1, 1)},
		{"dur-always-50", "… on 50 connections", atLeast(1.15, 1.5), alwaysRow(50, 1)},
		{"dur-always-p16", "… on 64 connections, pipeline 16", atLeast(1.3, 2.5), alwaysRow(64, 16)},
		{"dur-reads", "always: GETs per second of 25 clients while 25 write vs Redis", atLeast(1.8, 3), readsRow(opsPerSecond, "req/s")},
		{"dur-reads-p99", "… their p99", atMost(0.5, 0.25), readsRow(latency99, "µs p99")},
		{"dur-mux", "always: GETs on one binary connection with 10 % SETs vs GETs alone", atLeast(0.7, 0.9), muxRow},
		{"dur-syncs", "always: syncs per second under load vs a raw loop on the same layout", atLeast(0.85, 0.95), syncsRow},
		{"dur-everysec-off", "everysec: SETs per second, pipeline 16, vs --dir off", atLeast(0.75, 0.9), everysecRow(offTarget)},
		{"dur-everysec", "… vs Redis", atLeast(1.5, 2.5), everysecRow(redisTarget)},
		{"dur-stream", "log stream of 1 KiB values vs dd conv=fdatasync, bytes per second", atLeast(0.6, 0.9), streamRow},
		{"dur-replay", "start with a log of many writes vs Redis with an AOF, keys per second", atLeast(3, 8), replayRow},
		{"dur-logbytes-1", "bytes in the log per SET beyond key and value, 1 writer", atMost(90, 70), logBytesRow(1)},
		{"dur-logbytes-64", "… 64 writers", atMost(24, 14), logBytesRow(64)},

		{"snap-load", "start with a snapshot, larger store, vs Redis with its RDB file, keys per second", atLeast(3, 8), snapLoadRow},
		{"snap-memory", "growth of resident memory while overwriting during snapshots", atMost(0.05, 0.01), snapMemoryRow},
		{"snap-p99", "… p99 of the writes during snapshots vs before", atMost(1.5, 1.15), snapLatencyRow},
		{"snap-wait", "longest call that a request waits for (cut, walk, steps, SET), ms of thread CPU", atMost(2, 0.3), snapWaitRow},
		{"snap-rate", "uncompressed snapshot vs dd conv=fdatasync, bytes per second", atLeast(0.5, 0.8), snapRateRow},
		{"snap-size", "snapshot with Zstandard vs Redis's RDB file, text-like values, bytes", atMost(1, 0.7), snapSizeRow},
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
		return nil, refusef("-only %q names no row; -list shows them", only)
	}
	return out, nil
}

func listRows(w io.Writer) {
	for _, r := range rows() {
		fmt.Fprintf(w, "%-14s %-16s %s\n", r.id, r.limit.text(), r.title)
	}
}

// text shows the limit as "≤ 1.1 (0.9)".
func (l limit) text() string {
	if l.none {
		return "information"
	}
	return fmt.Sprintf("%s %g (%g)", l.sign(), l.must, l.reach)
}
