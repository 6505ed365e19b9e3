package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

// This file alone knows NitroKV's Go interface.

const (
	nitroName    = "nitrokv"
	nitroOptions = "engine.Open, ModeBitcask, MaxFileBytes of -file-bytes; LevelNever, in set-sync LevelAlways; default merges, " +
		"in merge-p99 only those that are asked for; MapFiles in get-cached; Set and Get"
	preadStoreName    = "nitrokv without MapFiles"
	preadStoreOptions = "… with one pread for each value, as is the default; to be seen beside it, and compared with nobody"
	hintPattern       = "*.hint"
)

type nitroStore struct{ s *engine.Store }

// openNitro opens the engine as a program would that embeds it, and that knows whether its data fits the page cache.
func openNitro(dir string, o openOptions) (store, error) { return openEngine(dir, o, o.cached) }

func openNitroPread(dir string, o openOptions) (store, error) { return openEngine(dir, o, false) }

func openEngine(dir string, o openOptions, mapped bool) (store, error) {
	level := engine.LevelNever
	if o.sync {
		level = engine.LevelAlways
	}
	s, err := engine.Open(engine.Options{Dir: dir, Mode: engine.ModeBitcask, MaxFileBytes: o.fileBytes, Level: level,
		MapFiles: mapped, Merge: engine.MergeOptions{Off: o.merges}})
	if err != nil {
		return nil, fmt.Errorf("open nitrokv: %w", err)
	}
	return nitroStore{s}, nil
}

func (n nitroStore) set(key, value []byte) error { return n.s.Set(key, value) }

func (n nitroStore) get(dst, key []byte) ([]byte, error) { return n.s.Get(dst[:0], key) }

func (n nitroStore) load(pairs []pair) error {
	for _, p := range pairs {
		if err := n.s.Set(p.key, p.value); err != nil {
			return err
		}
	}
	return nil
}

func (n nitroStore) merge(ctx context.Context) error { return n.s.Merge(ctx) }

// How long it is waited for hint files. DataFiles is up to a second old, so one look proves nothing.
const (
	settleLook  = 100 * time.Millisecond
	settleQuiet = 2500 * time.Millisecond
	settleMax   = 2 * time.Minute
)

// settle waits until all files have a hint file but the one that is written to, and the next one, which may have been made ahead. Only what is
// durable gets one; the rest is done by close.
func (n nitroStore) settle() error {
	if err := n.s.Sync(context.Background()); err != nil {
		return err
	}
	began := time.Now()
	for quiet := began; time.Since(quiet) < settleQuiet; time.Sleep(settleLook) {
		f := n.s.DataFiles()
		if f.Merging || f.Files == 0 || f.Hints+2 < f.Files {
			quiet = time.Now()
		}
		if time.Since(began) > settleMax {
			return fmt.Errorf("%d of %d files have a hint file after %v", f.Hints, f.Files, settleMax)
		}
	}
	return nil
}

func (n nitroStore) residentBytes() uint64 { return n.s.Stats().ResidentBytes }

func (n nitroStore) close() error {
	if err := n.s.Close(); err != nil {
		return fmt.Errorf("close nitrokv: %w", err)
	}
	return nil
}
