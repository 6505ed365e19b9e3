package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
)

// versus compares our samples with those of the best peer.
func versus(got *samples, unit string) (result, error) {
	base, err := got.best(unit)
	if err != nil {
		return result{}, err
	}
	ours := got.of(nitroName, unit)
	return result{value: median(ours) / median(base.values), worst: summarize(ours).min / summarize(base.values).max, samples: got, base: base,
		notes: []string{"compared with " + base.name + ", the best of those who could be had; " + missingPeers}}, nil
}

// setRow compares SETs, each round with new folders.
func setRow(sync bool) func(context.Context, *session) (result, error) {
	return func(ctx context.Context, s *session) (result, error) {
		var sides []side
		for _, c := range writing() {
			sides = append(sides, side{c.name, func(ctx context.Context, round int) (metrics, error) {
				return s.scratch(ctx, s.setJob(c, sync, round))
			}})
		}
		got, err := s.turns(ctx, sides)
		if err != nil {
			return result{}, err
		}
		res, err := versus(got, perSecond)
		if sync {
			res.notes = append(res.notes, fmt.Sprintf("a raw fdatasync takes %v here", s.disk.sync))
		}
		return res, err
	}
}

// setJob ends without a sync when all keys are written, with syncs also when the time is over.
func (s *session) setJob(c contender, sync bool, round int) job {
	j := s.job(taskSet, c, "", round)
	j.Keys, j.Sync = s.cfg.sets, sync
	if sync {
		j.Goroutines = s.cfg.writers
	} else {
		j.Duration = 0
	}
	return j
}

// cachedRow compares GETs of folders that are filled once.
func cachedRow(ctx context.Context, s *session) (result, error) {
	got, err := s.onFilled(ctx, s.cfg.sets, func(ctx context.Context, j job) (metrics, error) {
		j.Task = taskGet
		return j.start(ctx)
	})
	if err != nil {
		return result{}, err
	}
	return versus(got, perSecond)
}

// onFilled measures all who read, each with a filled folder of its own.
func (s *session) onFilled(ctx context.Context, keys int, measure func(context.Context, job) (metrics, error)) (*samples, error) {
	var sides []side
	for _, c := range reading() {
		dir, err := s.filled(ctx, c, keys)
		if err != nil {
			return nil, err
		}
		sides = append(sides, side{c.name, func(ctx context.Context, round int) (metrics, error) {
			j := s.job(taskGet, c, dir, round)
			j.Keys = keys
			return measure(ctx, j)
		}})
	}
	return s.turns(ctx, sides)
}

const preadName = "raw pread"

// coldProcs is GOMAXPROCS for each processor in get-cold, on both sides: Go's scheduler notices only after a while that a thread waits for
// the disk, so with as many as there are processors the loop of raw reads, too, does not get what the disk can give.
const coldProcs = 4

// coldRow compares our GETs with the raw loop on our files.
func coldRow(ctx context.Context, s *session) (result, error) {
	dir, err := s.filled(ctx, ours(), s.cfg.keys)
	if err != nil {
		return result{}, err
	}
	run := func(task string) func(context.Context, int) (metrics, error) {
		return func(ctx context.Context, round int) (metrics, error) {
			j := s.job(task, ours(), dir, round)
			j.Keys, j.Procs = s.cfg.keys, coldProcs*runtime.NumCPU()
			return j.start(ctx)
		}
	}
	got, err := s.turns(ctx, []side{{nitroName, run(taskCold)}, {preadName, run(taskPread)}})
	if err != nil {
		return result{}, err
	}
	res, err := versus(got, perSecond)
	res.notes = []string{fmt.Sprintf("pages dropped with posix_fadvise before each measurement, which reads 1 key in %d at the most; GOMAXPROCS %d on both sides",
		coldShare, coldProcs*runtime.NumCPU())}
	return res, err
}

// The sides of hintsRow.
const (
	withHints    = "with hint files"
	withoutHints = "without"
)

// hintsRow opens a folder with and without its hint files. Each sample has a folder of its own, which nobody has read before: what is
// read a second time may come out of a cache below the system's, whatever has been dropped here.
func hintsRow(ctx context.Context, s *session) (result, error) {
	got, err := s.turns(ctx, []side{
		{withHints, func(ctx context.Context, round int) (metrics, error) { return s.openFresh(ctx, round, true) }},
		{withoutHints, func(ctx context.Context, round int) (metrics, error) { return s.openFresh(ctx, round, false) }},
	})
	if err != nil {
		return result{}, err
	}
	with, without := got.of(withHints, openSeconds), got.of(withoutHints, openSeconds)
	return result{value: median(without) / median(with), worst: summarize(without).min / summarize(with).max, samples: got, base: &series{withoutHints, openSeconds, without}}, nil
}

// openFresh opens a new folder full of keys.
func (s *session) openFresh(ctx context.Context, round int, hints bool) (m metrics, err error) {
	dir, err := s.filled(ctx, ours(), s.cfg.startKeys)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := wantHints(dir, hints); err != nil {
		return nil, err
	}
	j := s.job(taskOpen, ours(), dir, round)
	j.Keys = s.cfg.startKeys
	return s.openCold(ctx, j)
}

// openCold opens a store none of whose pages are cached.
func (s *session) openCold(ctx context.Context, j job) (metrics, error) {
	if err := dropCache(j.Dir); err != nil {
		return nil, err
	}
	return j.start(ctx)
}

const keysPerSecond = "keys/s"

// startRow opens everybody's folder.
func startRow(ctx context.Context, s *session) (result, error) {
	got, err := s.onFilled(ctx, s.cfg.startKeys, func(ctx context.Context, j job) (metrics, error) {
		j.Task = taskOpen
		m, err := s.openCold(ctx, j)
		if err != nil {
			return nil, err
		}
		m[keysPerSecond] = float64(j.Keys) / m[openSeconds]
		return m, nil
	})
	if err != nil {
		return result{}, err
	}
	return result{samples: got, noPeer: indexPeers() == 0, notes: []string{
		missingPeers + "; badger and bbolt load no index of the keys when they open (badger replays its last memtables, bbolt reads its list of " +
			"free pages), so their numbers are information"}}, nil
}

// mergeRow compares the p99s of one run, which is made for both rows. A p99 is never as steady as a mean, so no run is
// thrown away for it: the report has all samples.
func mergeRow(during, idle string) func(context.Context, *session) (result, error) {
	return func(ctx context.Context, s *session) (result, error) {
		if s.merges == nil {
			got, err := s.turns(ctx, []side{{nitroName, func(ctx context.Context, round int) (metrics, error) {
				j := s.job(taskMerge, ours(), "", round)
				j.Keys = s.cfg.mergeKeys
				return s.scratch(ctx, j)
			}}})
			if err != nil {
				return result{}, err
			}
			s.merges = got
		}
		return result{value: median(s.merges.of(nitroName, during)) / median(s.merges.of(nitroName, idle)), samples: s.merges,
			notes: []string{fmt.Sprintf("µs, at %d GETs and %d SETs per second", s.cfg.rate, s.cfg.rate)}}, nil
	}
}

// ramRow measures once: memory does not depend on the machine's pace.
func ramRow(keys func(config) int) func(context.Context, *session) (result, error) {
	return func(ctx context.Context, s *session) (result, error) {
		j := s.job(taskMemory, ours(), "", 0)
		j.Keys, j.ValueBytes, j.Duration = keys(s.cfg), ramValue, 0
		m, err := s.scratch(ctx, j)
		if err != nil {
			return result{}, err
		}
		got := &samples{}
		got.addAll(nitroName, m)
		return result{value: max(m[statmPerKey], m[statsPerKey]), samples: got,
			notes: []string{fmt.Sprintf("%d keys of %d bytes, values of %d", j.Keys, keyBytes, ramValue)}}, nil
	}
}
