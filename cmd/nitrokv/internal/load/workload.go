package load

import "fmt"

// Workload is one of the core workloads of the Yahoo! Cloud Serving Benchmark (B. F. Cooper, A. Silberstein, E. Tam,
// R. Ramakrishnan and R. Sears, "Benchmarking Cloud Serving Systems with YCSB", SoCC 2010), as far as a store without
// an order of keys can run them. A record of ten fields of 100 bytes is one value of 1,000 bytes here, and an update
// writes all of it.
type Workload string

// The workloads. The zero value is none: ReadRatio and Distribution count.
const (
	WorkloadA Workload = "a" // update heavy: half reads, half updates
	WorkloadB Workload = "b" // read mostly: 95 % reads, 5 % updates
	WorkloadC Workload = "c" // read only
	WorkloadD Workload = "d" // read latest: 95 % reads, most of them of new records, 5 % inserts
	WorkloadE Workload = "e" // short ranges: refused
	WorkloadF Workload = "f" // half reads, half read-modify-writes
)

// The constants of YCSB's core workloads.
const (
	RecordSize = fields * fieldSize // bytes of a record
	fields     = 10
	fieldSize  = 100
	ycsbTheta  = 0.99 // skew of every Zipf distribution
)

// A workloadMix is what a workload consists of.
type workloadMix struct {
	title        string
	reads        float64 // share of the operations
	other        op      // what the rest are
	distribution Distribution
}

var mixes = map[Workload]workloadMix{
	WorkloadA: {"update heavy", 0.50, opSet, Scrambled},
	WorkloadB: {"read mostly", 0.95, opSet, Scrambled},
	WorkloadC: {"read only", 1, opSet, Scrambled},
	WorkloadD: {"read latest", 0.95, opSet, Latest},
	WorkloadF: {"read-modify-write", 0.50, opModify, Scrambled},
}

// inserts reports whether the workload's writes make new keys.
func (w Workload) inserts() bool { return w == WorkloadD }

// validateWorkload also refuses settings that the workload decides.
func (c *Config) validateWorkload() error {
	_, known := mixes[c.Workload]
	switch {
	case c.Workload == "":
		return nil
	case c.Workload == WorkloadE:
		return fmt.Errorf("--workload e reads ranges of keys in order, and the store is a hash table without an order; use a, b, c, d or f")
	case !known:
		return fmt.Errorf("--workload %q: unknown workload; use a, b, c, d or f", c.Workload)
	case c.Verify:
		return fmt.Errorf("--verify with --workload %s: its values can't be checked; use --verify without a workload", c.Workload)
	case c.ReadRatio != 0 || c.Distribution != "" || c.ZipfTheta != 0:
		return fmt.Errorf("--read-ratio, --distribution and --zipf-theta with --workload %s: the workload decides them; drop one of the two", c.Workload)
	}
	return nil
}

// complete fills in what the workload decides.
func (c *Config) complete() {
	if m, ok := mixes[c.Workload]; ok {
		c.ReadRatio, c.Distribution, c.ZipfTheta = m.reads, m.distribution, ycsbTheta
	}
}

// keyPrefix is what every key begins with; twelve digits follow.
func (c *Config) keyPrefix() string {
	if c.Workload != "" {
		return "user"
	}
	return "key:"
}

// writeOp is what is done instead of a read.
func (c *Config) writeOp() op {
	if m, ok := mixes[c.Workload]; ok {
		return m.other
	}
	return opSet
}
