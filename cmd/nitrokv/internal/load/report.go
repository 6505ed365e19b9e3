package load

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Report is the result of a run; the JSON keys are those of "nitrokv bench --json". Latencies are microseconds.
type Report struct {
	Addr         string       `json:"addr"`
	Protocol     Protocol     `json:"protocol"`
	Loop         string       `json:"loop"` // "closed" or "open"
	Clients      int          `json:"clients"`
	Pipeline     int          `json:"pipeline"`
	Threads      int          `json:"threads"`
	Keys         int64        `json:"keys"`
	ValueMin     int          `json:"value_size_min"`
	ValueMax     int          `json:"value_size_max"`
	Workload     Workload     `json:"workload,omitempty"`
	ReadRatio    float64      `json:"read_ratio"`
	Distribution Distribution `json:"distribution"`
	ZipfTheta    float64      `json:"zipf_theta,omitempty"`
	Rate         float64      `json:"rate,omitempty"`       // asked for; open loop only
	Durability   Durability   `json:"durability,omitempty"` // absent: the server's level
	Seed         uint64       `json:"seed"`
	Interrupted  bool         `json:"interrupted"` // ended early by a signal

	Seconds      float64   `json:"seconds"`        // from the first request to the last reply
	Requests     int64     `json:"requests"`       // answered without an error; a read-modify-write is one
	OpsPerSecond float64   `json:"ops_per_second"` // Requests / Seconds
	All          OpReport  `json:"all"`
	Get          OpReport  `json:"get"`
	Set          OpReport  `json:"set"`
	Modify       *OpReport `json:"rmw,omitempty"` // from the GET to the reply of its SET; only if the workload has them
	Misses       int64     `json:"misses"`        // GETs of keys that don't exist
	Unsent       int64     `json:"unsent"`        // open loop: due, but the server didn't keep up
	Errors       int64     `json:"errors"`        // error replies, also while loading and warming up
	FirstError   string    `json:"first_error,omitempty"`
	Verified     bool      `json:"verified"`   // every reply was checked
	Mismatches   int64     `json:"mismatches"` // replies that were wrong
	FirstWrong   string    `json:"first_mismatch,omitempty"`
	ValueBytes   int64     `json:"value_bytes_read"`
	BytesSent    int64     `json:"bytes_sent"`
	BytesRecv    int64     `json:"bytes_received"`
	Generator    Generator `json:"generator"`
}

// OpReport is the latency of one kind of request.
type OpReport struct {
	Requests int64   `json:"requests"`
	Mean     float64 `json:"mean_us"`
	P50      float64 `json:"p50_us"`
	P90      float64 `json:"p90_us"`
	P99      float64 `json:"p99_us"`
	P999     float64 `json:"p99_9_us"`
	P9999    float64 `json:"p99_99_us"`
	Max      float64 `json:"max_us"`
}

// Generator is what the load itself cost, which tells whether it was the limit.
type Generator struct {
	UserNs   float64 `json:"user_ns_per_request"`
	SystemNs float64 `json:"system_ns_per_request"`
	Busy     float64 `json:"busy"` // share of its threads' time
}

func newReport(c *Config, p *phase, s *stats, interrupted bool) *Report {
	r := &Report{
		Addr: c.Addr, Protocol: c.Protocol, Loop: "closed", Clients: c.Clients, Pipeline: c.Pipeline, Threads: c.Threads,
		Keys: c.Keys, ValueMin: c.ValueMin, ValueMax: c.ValueMax, ReadRatio: c.ReadRatio, Distribution: c.Distribution,
		Rate: c.Rate, Seed: c.Seed, Interrupted: interrupted,
		Seconds: time.Duration(s.last - p.start).Seconds(), Requests: s.requests(),
		Workload: c.Workload, Misses: s.misses, Unsent: s.unsent(),
		Errors: s.errors, FirstError: s.firstError, Verified: c.Verify, Mismatches: s.mismatches, FirstWrong: s.firstMismatch,
		ValueBytes: s.valueBytes, BytesSent: s.sent, BytesRecv: s.received,
		Get: newOpReport(&s.latency[opGet], s.answered(opGet)), Set: newOpReport(&s.latency[opSet], s.answered(opSet)),
	}
	if c.Rate > 0 {
		r.Loop = "open"
	}
	if c.Durability != ServerDefault {
		r.Durability = c.Durability
	}
	if c.Distribution != Uniform {
		r.ZipfTheta = c.ZipfTheta
	}
	if c.writeOp() == opModify {
		modify := newOpReport(&s.latency[opModify], s.answered(opModify))
		r.Modify = &modify
	}
	var all histogram
	for o := range opCount {
		all.add(&s.latency[o])
	}
	r.All = newOpReport(&all, s.requests())
	r.OpsPerSecond = float64(r.Requests) / max(r.Seconds, 1e-9)
	n := float64(max(r.Requests, 1))
	r.Generator = Generator{
		UserNs: float64(s.user) / n, SystemNs: float64(s.system) / n,
		Busy: (s.user + s.system).Seconds() / max(r.Seconds*float64(c.Threads), 1e-9),
	}
	return r
}

func newOpReport(h *histogram, requests int64) OpReport {
	us := func(d time.Duration) float64 { return float64(d) / 1e3 }
	return OpReport{
		Requests: requests, Mean: us(h.mean()), P50: us(h.quantile(0.50)), P90: us(h.quantile(0.90)), P99: us(h.quantile(0.99)),
		P999: us(h.quantile(0.999)), P9999: us(h.quantile(0.9999)), Max: us(h.max),
	}
}

// WriteJSON writes the report as one line.
func (r *Report) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	_, err := io.WriteString(w, r.head()+r.table()+r.foot())
	return err
}

func (r *Report) head() string {
	size := fmt.Sprint(r.ValueMin)
	if r.ValueMax != r.ValueMin {
		size = fmt.Sprintf("%d-%d", r.ValueMin, r.ValueMax)
	}
	loop := "closed loop"
	if r.Loop == "open" {
		loop = fmt.Sprintf("open loop at %.0f req/s", r.Rate)
	}
	if r.Durability != "" {
		loop += ", durability " + string(r.Durability)
	}
	workload := ""
	if r.Workload != "" {
		workload = fmt.Sprintf("YCSB workload %s (%s): ", r.Workload, mixes[r.Workload].title)
	}
	return fmt.Sprintf("%s over %s: %s, %d clients, pipeline %d, %d threads\n%s%d keys %s, values of %s bytes, %.0f %% reads, seed %d\n\n",
		r.Addr, r.Protocol, loop, r.Clients, r.Pipeline, r.Threads, workload, r.Keys, r.Distribution, size, 100*r.ReadRatio, r.Seed)
}

func (r *Report) table() string {
	text := fmt.Sprintf("%10.0f req/s: %d requests in %.2f s, %.1f MB sent, %.1f MB received\n\n%-5s %12s %9s %9s %9s %9s %9s %9s  µs\n",
		r.OpsPerSecond, r.Requests, r.Seconds, float64(r.BytesSent)/1e6, float64(r.BytesRecv)/1e6,
		"", "requests", "p50", "p90", "p99", "p99.9", "p99.99", "max")
	type row struct {
		name string
		OpReport
	}
	rows := []row{{"get", r.Get}, {"set", r.Set}, {"all", r.All}}
	if r.Modify != nil {
		rows[1] = row{"rmw", *r.Modify}
	}
	for _, row := range rows {
		text += fmt.Sprintf("%-5s %12d %9.1f %9.1f %9.1f %9.1f %9.1f %9.1f\n",
			row.name, row.Requests, row.P50, row.P90, row.P99, row.P999, row.P9999, row.Max)
	}
	return text
}

func (r *Report) foot() string {
	text := fmt.Sprintf("\nmisses %d, errors %d", r.Misses, r.Errors)
	if r.Verified {
		text += fmt.Sprintf(", mismatches %d", r.Mismatches)
	}
	if r.Loop == "open" {
		text += fmt.Sprintf(", unsent %d", r.Unsent)
	}
	if r.Interrupted {
		text += "; interrupted"
	}
	return text + fmt.Sprintf("\ngenerator: %.0f ns user, %.0f ns system per request, busy %.0f %%\n",
		r.Generator.UserNs, r.Generator.SystemNs, 100*r.Generator.Busy)
}

// Problem describes what makes the run a failure, or is nil.
func (r *Report) Problem() error {
	switch {
	case r.Mismatches > 0:
		return fmt.Errorf("%d wrong replies; the first: %s", r.Mismatches, r.FirstWrong)
	case r.Errors > 0:
		return fmt.Errorf("%d error replies; the first: %q", r.Errors, r.FirstError)
	}
	return nil
}
