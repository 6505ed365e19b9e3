package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// A target is a server under one protocol and its load.
type target struct {
	name     string
	server   *server
	protocol string // of nitrokv bench, or of this program's load
	own      bool   // loaded by this program, because nitrokv bench doesn't speak its protocol
}

// A sample is one load on one target.
type sample struct {
	opsPerSecond float64
	cpuMicros    float64 // of the server, per request
	p50, p99     float64 // microseconds
	unsent       float64
	loadBusy     float64 // share of one CPU that the generator used
}

// A plan is how a target is loaded.
type plan struct {
	mix       mix
	clients   int // connections; 0: as many as the run is set to
	pipeline  int
	valueSize int     // 0: what the run is set to
	keys      int     // likewise
	rate      float64 // requests a second of an open loop; 0: a closed loop
	length    time.Duration
	requests  int // instead of length, if not 0
	cpu       int // of the generator, or anyCPU
}

// A mix is the share of GETs; the rest are SETs.
type mix int

const (
	halfReads mix = iota
	onlyWrites
	onlyReads
)

// ratios are the mixes as nitrokv bench takes them.
var ratios = [...]string{halfReads: "0.5", onlyWrites: "0", onlyReads: "1"}

// loadResult is the part of nitrokv bench's report that the rows need, and all of what this program's own load reports.
type loadResult struct {
	Requests     float64 `json:"requests"` // answered without an error
	Seconds      float64 `json:"seconds"`
	OpsPerSecond float64 `json:"ops_per_second"`
	Errors       float64 `json:"errors"`
	Misses       float64 `json:"misses"`
	Unsent       float64 `json:"unsent"` // open loop: due, but the server didn't keep up
	All          struct {
		P50 float64 `json:"p50_us"`
		P99 float64 `json:"p99_us"`
	} `json:"all"` // latencies; 0 in this program's own load, which doesn't measure them
	Generator struct {
		Busy float64 `json:"busy"` // share of its CPU
	} `json:"generator"`
}

// measure puts a load on a target and reads the server's CPU time around it.
func (b *bench) measure(ctx context.Context, t target, p plan) (sample, error) {
	before, err := cpuTime(t.server.pid())
	if err != nil {
		return sample{}, err
	}
	result, err := b.load(ctx, t, p)
	if err != nil {
		return sample{}, fmt.Errorf("load %s: %w", t.name, err)
	}
	if err := t.server.ended(); err != nil {
		return sample{}, err
	}
	after, err := cpuTime(t.server.pid())
	if err != nil {
		return sample{}, err
	}
	if result.Requests == 0 {
		return sample{}, fmt.Errorf("load %s: no request was answered", t.name)
	}
	if p.rate > 0 && result.All.P99 == 0 {
		return sample{}, fmt.Errorf("load %s: the generator reported no latency", t.name)
	}
	used := after - before
	return sample{
		opsPerSecond: result.OpsPerSecond,
		cpuMicros:    float64(used.Nanoseconds()) / 1e3 / result.Requests,
		p50:          result.All.P50,
		p99:          result.All.P99,
		unsent:       result.Unsent,
		loadBusy:     result.Generator.Busy,
	}, nil
}

// load runs the target's generator to its end.
func (b *bench) load(ctx context.Context, t target, p plan) (loadResult, error) {
	text, err := output(ctx, b.dir, p.cpu, b.generator(t, p)...)
	if err != nil {
		return loadResult{}, err
	}
	return parseReport(text)
}

// generator is the command line of a target's load.
func (b *bench) generator(t target, p plan) []string {
	argv := []string{b.cfg.nitrokv, "bench"}
	if t.own {
		argv = []string{b.self, "load"}
	}
	clients, size, keys := p.clients, p.valueSize, p.keys
	if clients == 0 {
		clients = b.cfg.clients
	}
	if size == 0 {
		size = b.cfg.valueSize
	}
	if keys == 0 {
		keys = b.cfg.keys
	}
	argv = append(argv, "--addr", t.server.addr, "--protocol", t.protocol,
		"--clients", strconv.Itoa(clients), "--pipeline", strconv.Itoa(p.pipeline),
		"--keys", strconv.Itoa(keys), "--value-size", strconv.Itoa(size))
	if p.requests > 0 {
		argv = append(argv, "--requests", strconv.Itoa(p.requests))
	} else {
		argv = append(argv, "--duration", p.length.String())
	}
	if !t.own {
		argv = append(argv, "--read-ratio", ratios[p.mix], "--warmup", "0s", "--json")
	}
	if p.rate > 0 {
		argv = append(argv, "--rate", strconv.FormatFloat(p.rate, 'f', 0, 64))
	}
	return argv
}

// parseReport reads a generator's report and refuses one whose requests were not all hits.
func parseReport(text []byte) (loadResult, error) {
	var r loadResult
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("the report is not JSON: %w: %.200q", err, text)
	}
	if r.Errors > 0 || r.Misses > 0 {
		return r, fmt.Errorf("%.0f errors and %.0f misses; every request must be a hit", r.Errors, r.Misses)
	}
	return r, nil
}
