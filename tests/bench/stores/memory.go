package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
)

// The metrics of runMemory: bytes per key, the key's own bytes not counted.
const (
	statmPerKey = "B/key by /proc/self/statm"
	statsPerKey = "B/key by Stats"
)

// warmBytes is how much is written of one key first, so that every buffer of the store is in place.
const warmBytes = 64 << 20

// runMemory measures what a store needs for its keys.
func runMemory(j job) (got metrics, err error) {
	w := newWorkload(j.ValueBytes)
	err = j.with(func(s store) error {
		m, ok := s.(meter)
		if !ok {
			return fmt.Errorf("%s does not say how much memory it has", j.Store)
		}
		workers := crew(w, j.Goroutines, j.Seed)
		if err := writeOften(s, workers); err != nil {
			return err
		}
		before, err := look(m)
		if err != nil {
			return err
		}
		if _, err := setAll(s, workers, j); err != nil {
			return err
		}
		after, err := look(m)
		perKey := func(before, after uint64) float64 {
			return (float64(after)-float64(before))/float64(j.Keys) - keyBytes
		}
		got = metrics{statmPerKey: perKey(before.statm, after.statm), statsPerKey: perKey(before.stats, after.stats)}
		return err
	})
	return got, err
}

// writeOften writes one key, by all workers.
func writeOften(s store, workers []*worker) error {
	times := warmBytes / workers[0].valueBytes / len(workers)
	_, err := together(workers, func(w *worker) error {
		for range times {
			if err := w.set(s, 0); err != nil {
				return fmt.Errorf("set: %w", err)
			}
		}
		return nil
	})
	return err
}

// usage is the memory of this process, and what the store says of its own.
type usage struct{ statm, stats uint64 }

// look gives Go's free memory back first.
func look(m meter) (usage, error) {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return usage{}, err
	}
	resident, err := parseStatm(string(text))
	return usage{resident, m.residentBytes()}, err
}

// parseStatm returns the resident bytes: the second number, in pages.
func parseStatm(text string) (uint64, error) {
	var size, resident uint64
	if _, err := fmt.Sscan(strings.TrimSpace(text), &size, &resident); err != nil {
		return 0, fmt.Errorf("read statm %q: %w", text, err)
	}
	return resident * uint64(os.Getpagesize()), nil
}
