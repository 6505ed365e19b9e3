package main

import (
	"context"
	"math"
	"strconv"
)

// cMemoryRow reads one metric of tests/bench/memory.c at the smaller size.
func cMemoryRow(metric string) func(context.Context, *session) (result, error) {
	return func(ctx context.Context, s *session) (result, error) {
		got, err := s.tools.run(ctx, "memory", "", strconv.Itoa(s.cfg.keys), "all")
		if err != nil {
			return result{}, err
		}
		return memoryResult(got, metric)
	}
}

func cMemoryLargeRow(ctx context.Context, s *session) (result, error) {
	got, err := s.tools.run(ctx, "memory", "", strconv.Itoa(s.cfg.manyKeys), "fill")
	if err != nil {
		return result{}, err
	}
	return memoryResult(got, "fill_per_key")
}

func memoryResult(got report, metric string) (result, error) {
	v, err := got.pick(metric)
	if err != nil {
		return result{}, err
	}
	res := result{value: median(v[0]), series: []series{{metric, "", v[0]}}}
	if metric == "stats_error" {
		res.value = math.Abs(res.value) // too much is as wrong as too little
	}
	return res, nil
}

// tableReport runs table_ops once a round: interrupts are luck, and a single run would show only that.
func tableReport(ctx context.Context, s *session) (report, error) {
	return s.tools.rounds("table_ops", func() (report, error) {
		return s.tools.runFresh(ctx, "table_ops", "", strconv.Itoa(s.cfg.manyKeys))
	})
}

// tableOpsRow compares the counts of slow operations with those of another loop of the same duration: "empty" reads the
// clock alone, "touch" also changes as many cache lines of as much memory as a SET does. The second meets what only
// users of memory meet on a virtual machine: faults that the hypervisor resolves and that the thread's clock counts.
func tableOpsRow(loop string) func(context.Context, *session) (result, error) {
	return func(ctx context.Context, s *session) (result, error) {
		got, err := tableReport(ctx, s)
		if err != nil {
			return result{}, err
		}
		names := []string{"set_over_50us", loop + "_over_50us", "set_over_20us", loop + "_over_20us", "set_longest_us", loop + "_longest_us"}
		v, err := got.pick(names...)
		if err != nil {
			return result{}, err
		}
		reach := median(differences(v[2], v[3]))
		res := result{value: median(differences(v[0], v[1])), reachValue: &reach}
		for i, name := range names {
			res.series = append(res.series, series{name, "", v[i]})
		}
		return res, nil
	}
}

func differences(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] - b[i]
	}
	return out
}

// tableWorkRow compares the engine's counts of its largest calls with the bounds that its test builds assert.
func tableWorkRow(ctx context.Context, s *session) (result, error) {
	got, err := tableReport(ctx, s)
	if err != nil {
		return result{}, err
	}
	var res result
	for _, what := range []string{"buckets", "entries", "bytes"} {
		v, err := got.pick("max_"+what+"_per_call", "bound_"+what)
		if err != nil {
			return result{}, err
		}
		res.value = max(res.value, summarize(v[0]).max/v[1][0])
		res.series = append(res.series, series{what + " per call", "of " + number(v[1][0]), v[0]})
	}
	return res, nil
}

// collideChainRow shows that the attack works where the switch is compiled off. Few keys: the time grows with their
// square.
func collideChainRow(ctx context.Context, s *session) (result, error) {
	got, err := s.tools.run(ctx, "collide_bench", "-DNK_NO_HASH_SWITCH", "1", "12", "1")
	if err != nil {
		return result{}, err
	}
	v, err := got.pick("max_entries_per_call", "honest_ns", "collide_ns", "hash_switches")
	if err != nil {
		return result{}, err
	}
	res := result{value: v[0][0], series: []series{
		{"entries per call", "", v[0]}, {"honest keys", "ns a key", v[1]}, {"colliding keys", "ns a key", v[2]}}}
	if v[3][0] != 0 {
		res.broken = "the engine switched its hash although the switch was compiled off"
	}
	return res, nil
}

func collideRow(segments int) func(context.Context, *session) (result, error) {
	return func(ctx context.Context, s *session) (result, error) {
		got, err := s.tools.run(ctx, "collide_bench", "", strconv.Itoa(segments), "18", strconv.Itoa(s.cfg.rounds))
		if err != nil {
			return result{}, err
		}
		v, err := got.pick("honest_ns", "collide_ns", "hash_switches")
		if err != nil {
			return result{}, err
		}
		res := result{value: median(v[1]) / median(v[0]), series: []series{
			{"honest keys", "ns a key", v[0]}, {"colliding keys", "ns a key", v[1]}, {"hash switches", "", v[2]}}}
		if v[2][0] == 0 {
			res.broken = "no segment switched its hash: the keys did not collide"
		}
		return res, nil
	}
}

// getChainRow compares one time of tests/bench/get_chain.c with that of two dependent misses.
func getChainRow(metric string) func(context.Context, *session) (result, error) {
	return func(ctx context.Context, s *session) (result, error) {
		got, err := s.tools.run(ctx, "get_chain", "", strconv.Itoa(s.cfg.manyKeys))
		if err != nil {
			return result{}, err
		}
		v, err := got.pick(metric, "two_misses_ns")
		if err != nil {
			return result{}, err
		}
		return result{value: median(v[0]) / median(v[1]), series: []series{
			{metric, "", v[0]}, {"two dependent misses", "ns", v[1]}}}, nil
	}
}

// threadsRow reads one workload of the threads measurement; "hot" stands for the worst of its pipelines.
func threadsRow(name string) func(context.Context, *session) (result, error) {
	return func(ctx context.Context, s *session) (result, error) {
		got, err := s.tools.rounds("threads", func() (report, error) {
			text, err := output(ctx, s.dir, anyCPU, s.self, "threads", "-keys", strconv.Itoa(s.cfg.keys))
			if err != nil {
				return nil, err
			}
			return parseMetrics(text)
		})
		if err != nil {
			return result{}, err
		}
		res := result{value: math.Inf(1)}
		for _, w := range workloads {
			if w.name != name && (name != "hot" || !w.hot) {
				continue
			}
			v, err := got.pick(w.name+"_1", w.name+"_2")
			if err != nil {
				return result{}, err
			}
			res.value = min(res.value, median(v[1])/median(v[0]))
			res.series = append(res.series, series{w.name + " 1 goroutine", "req/s", v[0]},
				series{w.name + " 2 goroutines", "req/s", v[1]})
		}
		return res, nil
	}
}
