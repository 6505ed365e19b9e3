package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// A series is all samples of one contender, or of one quantity, in a row.
type series struct {
	name, unit string
	values     []float64
}

// samples are the series of a row, in the order in which they came up.
type samples struct{ all []*series }

// add appends one sample.
func (s *samples) add(name, unit string, value float64) {
	for _, one := range s.all {
		if one.name == name && one.unit == unit {
			one.values = append(one.values, value)
			return
		}
	}
	s.all = append(s.all, &series{name, unit, []float64{value}})
}

// of returns the samples of one series; none is nil.
func (s *samples) of(name, unit string) []float64 {
	for _, one := range s.all {
		if one.name == name && one.unit == unit {
			return one.values
		}
	}
	return nil
}

// best is the series with the largest median among the peers.
func (s *samples) best(unit string) (*series, error) {
	var best *series
	for _, one := range s.all {
		if one.unit == unit && !isOurs(one.name) && (best == nil || median(one.values) > median(best.values)) {
			best = one
		}
	}
	if best == nil {
		return nil, fmt.Errorf("no peer has samples of %s", unit)
	}
	return best, nil
}

// A side is one of those who take turns in a row.
type side struct {
	name    string
	measure func(ctx context.Context, round int) (metrics, error)
}

// turns measures all sides in every round, each round beginning with the next one.
func (s *session) turns(ctx context.Context, sides []side) (*samples, error) {
	got := &samples{}
	for round := range s.cfg.rounds {
		for i := range sides {
			one := sides[(round+i)%len(sides)]
			s.progress("  round %d of %d: %s", round+1, s.cfg.rounds, one.name)
			m, err := one.measure(ctx, round)
			if err != nil {
				return nil, err
			}
			got.addAll(one.name, m)
		}
	}
	return got, nil
}

// addAll appends the metrics of one measurement.
func (s *samples) addAll(name string, m metrics) {
	for _, unit := range slices.Sorted(maps.Keys(m)) {
		s.add(name, unit, m[unit])
	}
}

// job is a measurement with this run's sizes.
func (s *session) job(task string, c contender, dir string, round int) job {
	return job{Task: task, Store: c.name, Dir: dir, ValueBytes: s.cfg.valueBytes, Goroutines: s.cfg.goroutines,
		Duration: s.cfg.duration, Seed: seed(task, round), FileBytes: s.cfg.fileBytes, Rate: s.cfg.rate}
}

// seed differs between the tasks of a round, so that one does not read what another has brought into some cache below.
func seed(task string, round int) uint64 {
	h := uint64(round) + 1
	for _, c := range []byte(task) {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return h
}

// scratch does a job in a new folder and removes it.
func (s *session) scratch(ctx context.Context, j job) (metrics, error) {
	dir, err := s.folder()
	if err != nil {
		return nil, err
	}
	j.Dir = dir
	got, err := j.start(ctx)
	return got, errors.Join(err, os.RemoveAll(dir))
}

// filled makes a folder with keys in it.
func (s *session) filled(ctx context.Context, c contender, keys int) (string, error) {
	dir, err := s.folder()
	if err != nil {
		return "", err
	}
	s.progress("  fill %s with %d keys", c.name, keys)
	j := s.job(taskFill, c, dir, 0)
	j.Keys = keys
	_, err = j.start(ctx)
	return dir, err
}

// folder makes a new one in the run's; what is left in there goes when the run ends.
func (s *session) folder() (string, error) {
	dir, err := os.MkdirTemp(s.disk.dir, "data-*")
	if err != nil {
		return "", fmt.Errorf("a folder for a store: %w", err)
	}
	return dir, nil
}

// clear removes what a row has left.
func (s *session) clear() error {
	left, err := filepath.Glob(filepath.Join(s.disk.dir, "*"))
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}
