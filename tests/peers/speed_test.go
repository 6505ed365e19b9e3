package main

import (
	"errors"
	"strings"
	"testing"
)

var fakeTargets = []target{{name: redisTarget}, {name: nitroTarget}}

func fakeSpeed() *speed {
	cfg := defaultConfig()
	cfg.rounds, cfg.attempts = 3, 2
	return newSpeed(&bench{cfg: cfg, progress: func(string, ...any) {}, ticks: readTicks})
}

// TestRoundsAlternate: the servers take turns, one warming load each that isn't counted.
func TestRoundsAlternate(t *testing.T) {
	var order []string
	got, err := fakeSpeed().rounds(fakeTargets, []quantity{opsPerSecond}, func(tg target) (sample, error) {
		order = append(order, tg.name)
		return sample{opsPerSecond: 100}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("redis nitrokv ", 4); strings.Join(order, " ")+" " != want {
		t.Errorf("order %q, want %q", order, want)
	}
	if n := len(got.of[nitroTarget]); n != 3 {
		t.Errorf("%d samples, want 3", n)
	}
}

// TestRoundsDiscard: samples of an unsteady Redis are measured again, and in the end the row says that it says nothing.
func TestRoundsDiscard(t *testing.T) {
	n := 0.0
	sp := fakeSpeed()
	got, err := sp.rounds(fakeTargets, []quantity{opsPerSecond}, func(target) (sample, error) {
		n++
		return sample{opsPerSecond: n}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.retries) != 1 || int(n) != 2*4*len(fakeTargets) {
		t.Errorf("%d attempts were thrown away in %v loads", len(got.retries), n)
	}
	res := got.result("req/s", opsPerSecond, sp.bench.cfg.spreadMax)
	if res.discarded == "" {
		t.Error("the row was not discarded")
	}
}

func TestResultComparesMedians(t *testing.T) {
	g := &samples{order: []string{redisTarget, nitroTarget, binaryTarget}, of: map[string][]sample{
		redisTarget:  {{cpuMicros: 10}, {cpuMicros: 10.5}, {cpuMicros: 9.8}},
		nitroTarget:  {{cpuMicros: 5}, {cpuMicros: 4}, {cpuMicros: 90}},
		binaryTarget: {{cpuMicros: 2}},
	}}
	res := g.result("µs", cpuMicros, 0.1)
	if res.value != 0.5 || res.discarded != "" || len(res.series) != 3 {
		t.Errorf("result = %+v", res)
	}
	if len(res.notes) != 1 || res.notes[0] != "binary protocol: 0.200" {
		t.Errorf("notes = %q", res.notes)
	}
}

func TestRoundsStopAtAnError(t *testing.T) {
	broken := errors.New("broken")
	if _, err := fakeSpeed().rounds(fakeTargets, nil, func(target) (sample, error) { return sample{}, broken }); !errors.Is(err, broken) {
		t.Errorf("rounds = %v", err)
	}
}

func TestParseReportDemandsHits(t *testing.T) {
	if _, err := parseReport([]byte(`{"requests": 10, "misses": 1}`)); err == nil {
		t.Error("a report with a miss was accepted")
	}
	if _, err := parseReport([]byte(`{"requests": 10, "errors": 1}`)); err == nil {
		t.Error("a report with an error was accepted")
	}
	if _, err := parseReport([]byte("Segmentation fault")); err == nil {
		t.Error("a report that isn't JSON was accepted")
	}
}
