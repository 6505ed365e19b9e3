package main

import (
	"context"
	"fmt"
	"slices"
)

// speed measures the contenders under load, each pipeline once, whatever rows ask for it.
type speed struct {
	bench   *bench
	pinned  []target         // started by the first row that needs them
	results map[int]*samples // by pipeline
}

// samples are the loads of one measurement, by the target's name.
type samples struct {
	of      map[string][]sample
	order   []string
	retries []string // why earlier attempts were thrown away
}

func newSpeed(b *bench) *speed { return &speed{bench: b, results: map[int]*samples{}} }

// The targets' names in reports, where rows refer to them.
const (
	redisTarget  = "redis"
	nitroTarget  = "nitrokv"
	binaryTarget = "nitrokv binary"
)

// launch starts every contender on cpu and preloads those that store.
func (sp *speed) launch(ctx context.Context, kinds []kind, cpu int) ([]target, error) {
	var targets []target
	for _, k := range kinds {
		s, err := sp.bench.start(ctx, k, cpu)
		if err != nil {
			return nil, err
		}
		if k.stores {
			if err := sp.bench.fill(ctx, s); err != nil {
				return nil, fmt.Errorf("fill %s: %w", k.name, err)
			}
		}
		own := k.wire.name != respWire.name
		targets = append(targets, target{name: k.name, server: s, protocol: k.wire.name, own: own})
		if k.name == nitrokvKind.name {
			targets = append(targets, target{name: binaryTarget, server: s, protocol: "binary"})
		}
	}
	return targets, nil
}

// contenders lists what the pinned rows compare; valkey only where it is installed.
func contenders() []kind {
	kinds := []kind{redisKind, nitrokvKind, memcachedKind, echoKind, constantKind}
	if installed("valkey-server") {
		kinds = append(kinds, valkeyKind)
	}
	return kinds
}

// ready returns the pinned contenders, started and filled.
func (sp *speed) ready(ctx context.Context) ([]target, error) {
	if sp.pinned != nil {
		return sp.pinned, nil
	}
	targets, err := sp.launch(ctx, contenders(), sp.bench.serverCPU)
	if err != nil {
		return nil, err
	}
	sp.pinned = targets
	return targets, nil
}

// at returns the closed-loop samples of every contender at a pipeline.
func (sp *speed) at(ctx context.Context, pipeline int) (*samples, error) {
	if got := sp.results[pipeline]; got != nil {
		return got, nil
	}
	targets, err := sp.ready(ctx)
	if err != nil {
		return nil, err
	}
	got, err := sp.rounds(targets, []quantity{opsPerSecond, cpuMicros}, func(t target) (sample, error) {
		return sp.bench.measure(ctx, t, plan{pipeline: pipeline, length: sp.bench.cfg.duration, cpu: sp.bench.loadCPU})
	})
	if err != nil {
		return nil, err
	}
	sp.results[pipeline] = got
	return got, nil
}

// rounds lets the targets take turns. It starts again when Redis's samples of one of the quantities are too far apart.
func (sp *speed) rounds(targets []target, steady []quantity, load func(target) (sample, error)) (*samples, error) {
	var retries []string
	for attempt := 1; ; attempt++ {
		got, err := sp.bench.takeTurns(targets, load)
		if err != nil {
			return nil, err
		}
		got.retries = retries
		spread := got.spread(redisTarget, steady)
		if spread <= sp.bench.cfg.spreadMax || attempt == sp.bench.cfg.attempts {
			return got, nil
		}
		retries = append(retries, fmt.Sprintf("attempt %d was thrown away: Redis's samples spread by %.0f %%", attempt, 100*spread))
		sp.bench.progress("%s", retries[len(retries)-1])
	}
}

// takeTurns loads every target once to warm up, which isn't counted, and then once in each round.
func (b *bench) takeTurns(targets []target, load func(target) (sample, error)) (*samples, error) {
	got := &samples{of: map[string][]sample{}}
	for _, t := range targets {
		if _, err := load(t); err != nil {
			return nil, err
		}
		got.order = append(got.order, t.name)
	}
	for range b.cfg.rounds {
		for _, t := range targets {
			s, err := undisturbed(b, func() (sample, error) { return load(t) })
			if err != nil {
				return nil, err
			}
			got.of[t.name] = append(got.of[t.name], s)
		}
	}
	return got, nil
}

// A quantity is one number of a sample.
type quantity func(sample) float64

func opsPerSecond(s sample) float64 { return s.opsPerSecond }
func cpuMicros(s sample) float64    { return s.cpuMicros }
func latency99(s sample) float64    { return s.p99 }
func latency50(s sample) float64    { return s.p50 }

func unsent(s sample) float64   { return s.unsent }
func loadBusy(s sample) float64 { return s.loadBusy }

// serverBusy is the share of one CPU that the server used while it was under load.
func serverBusy(s sample) float64 { return s.opsPerSecond * s.cpuMicros / 1e6 }

// spread is the largest spread of a target's samples over the quantities.
func (g *samples) spread(name string, quantities []quantity) float64 {
	most := 0.0
	for _, q := range quantities {
		most = max(most, summarize(g.values(name, q)).spread())
	}
	return most
}

// values returns one quantity of one target's samples.
func (g *samples) values(name string, q quantity) []float64 {
	var out []float64
	for _, s := range g.of[name] {
		out = append(out, q(s))
	}
	return out
}

// ratio compares two targets' medians.
func (g *samples) ratio(name, base string, q quantity) float64 {
	return median(g.values(name, q)) / median(g.values(base, q))
}

// result makes a row's result of one quantity: nitrokv's median by Redis's.
func (g *samples) result(unit string, q quantity, spreadMax float64) result {
	return g.resultVs(redisTarget, unit, q, spreadMax)
}

// resultVs is result with another base, whose samples have to be steady.
func (g *samples) resultVs(base, unit string, q quantity, spreadMax float64) result {
	res := result{value: g.ratio(nitroTarget, base, q), notes: slices.Clone(g.retries)}
	for _, name := range g.order {
		res.series = append(res.series, series{name, unit, g.values(name, q)})
	}
	if _, ok := g.of[binaryTarget]; ok {
		res.notes = append(res.notes, "binary protocol: "+number(g.ratio(binaryTarget, base, q)))
	}
	if spread := summarize(g.values(base, q)).spread(); spread > spreadMax {
		res.discarded = fmt.Sprintf("the samples of %s spread by %.0f %%, more than %.0f %%", base, 100*spread, 100*spreadMax)
	}
	return res
}

func cpuRow(pipeline int) func(context.Context, *session) (result, error) {
	return func(ctx context.Context, s *session) (result, error) {
		got, err := s.speed.at(ctx, pipeline)
		if err != nil {
			return result{}, err
		}
		return got.result("µs", cpuMicros, s.cfg.spreadMax), nil
	}
}

func opsRow(pipeline int) func(context.Context, *session) (result, error) {
	return func(ctx context.Context, s *session) (result, error) {
		got, err := s.speed.at(ctx, pipeline)
		if err != nil {
			return result{}, err
		}
		res := got.result("req/s", opsPerSecond, s.cfg.spreadMax)
		for _, name := range got.order {
			if busy, load := median(got.values(name, serverBusy)), median(got.values(name, loadBusy)); load > busy {
				res.notes = append(res.notes, fmt.Sprintf("%s used %.0f %% of its CPU, the load %.0f %% of its own: the load was the limit",
					name, 100*busy, 100*load))
			}
		}
		return res, nil
	}
}

// p99Row compares the latencies at one rate for all: half of what Redis can do.
func p99Row(ctx context.Context, s *session) (result, error) {
	closed, err := s.speed.at(ctx, 1)
	if err != nil {
		return result{}, err
	}
	rate := median(closed.values(redisTarget, opsPerSecond)) / 2
	var targets []target
	for _, t := range s.speed.pinned {
		if !t.own {
			targets = append(targets, t)
		}
	}
	got, err := s.speed.rounds(targets, []quantity{latency99}, func(t target) (sample, error) {
		return s.measure(ctx, t, plan{pipeline: 1, rate: rate, length: s.cfg.openLoop, cpu: s.loadCPU})
	})
	if err != nil {
		return result{}, err
	}
	res := got.result("µs p99", latency99, s.cfg.spreadMax)
	for _, t := range targets {
		res.series = append(res.series, series{t.name, "µs p50", got.values(t.name, latency50)})
		if n := summarize(got.values(t.name, unsent)).max; n > 0 {
			res.notes = append(res.notes, fmt.Sprintf("%s did not keep up: %.0f requests unsent in one round", t.name, n))
		}
	}
	res.notes = append(res.notes, fmt.Sprintf("offered: %.0f requests a second", rate))
	return res, nil
}

// unpinnedRow lets server and load share the machine as they like.
func unpinnedRow(ctx context.Context, s *session) (result, error) {
	targets, err := s.speed.launch(ctx, []kind{redisKind, nitrokvKind}, anyCPU)
	if err != nil {
		return result{}, err
	}
	got, err := s.speed.rounds(targets, []quantity{opsPerSecond}, func(t target) (sample, error) {
		return s.measure(ctx, t, plan{pipeline: 64, length: s.cfg.duration, cpu: anyCPU})
	})
	for _, t := range targets {
		if t.name != binaryTarget {
			s.stop(t.server)
		}
	}
	if err != nil {
		return result{}, err
	}
	return got.result("req/s", opsPerSecond, s.cfg.spreadMax), nil
}
