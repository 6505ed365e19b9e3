package engine

/*
#include "nitro.h"
*/
import "C"

import (
	"fmt"
	"time"
)

// Mode says where the values of a store lie.
type Mode uint8

// The modes. A folder keeps the mode that it was made with.
const (
	// ModeDefault is that of the folder; ModeMemory for a new one, and without a folder.
	ModeDefault Mode = C.NITRO_MODE_DEFAULT
	// ModeMemory has everything in memory. The log, and snapshots, bring it back.
	ModeMemory Mode = C.NITRO_MODE_MEMORY
	// ModeBitcask has the keys in memory and the values in the files of the log, which are merged when much of them is
	// dead. It needs a folder. Its snapshots are folders of hard links.
	ModeBitcask Mode = C.NITRO_MODE_BITCASK
)

var modeNames = [...]string{ModeDefault: "default", ModeMemory: "memory", ModeBitcask: "bitcask"}

// ParseMode returns the mode of that name: memory or bitcask.
func ParseMode(s string) (Mode, error) {
	for _, m := range [...]Mode{ModeMemory, ModeBitcask} {
		if modeNames[m] == s {
			return m, nil
		}
	}
	return 0, fmt.Errorf("engine: mode %q, want memory or bitcask: %w", s, ErrArgument)
}

// String returns "memory", "bitcask", or "default".
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// Mode is that of the store: ModeMemory or ModeBitcask.
func (s *Store) Mode() Mode { return s.mode }

// maxFileBytes is the largest that Options.MaxFileBytes may be: the engine knows 32 bits of a record's place, and a file
// may grow a little beyond its size.
const (
	minFileBytes = 64 << 10
	maxFileBytes = 4<<30 - 4<<20
)

// syncIntervalMin keeps the syncer from doing nothing but look at the clock.
const syncIntervalMin = 10 * time.Millisecond

// checkFiles refuses sizes and times that can't be, whatever the mode.
func (o Options) checkFiles() error {
	switch {
	case o.Mode > ModeBitcask:
		return fmt.Errorf("engine: open: %v, want memory or bitcask: %w", o.Mode, ErrArgument)
	case o.LogFileBytes < 0:
		return fmt.Errorf("engine: open: log files of %d bytes, want 64 KiB to 1 TiB: %w", o.LogFileBytes, ErrArgument)
	case o.MaxFileBytes != 0 && (o.MaxFileBytes < minFileBytes || o.MaxFileBytes > maxFileBytes):
		return fmt.Errorf("engine: open: data files of %d bytes, want 64 KiB to %d bytes (4 GiB less 4 MiB): %w",
			o.MaxFileBytes, int64(maxFileBytes), ErrArgument)
	case o.LogFileBytes != 0 && o.MaxFileBytes != 0:
		return fmt.Errorf("engine: open: LogFileBytes is for mode memory, MaxFileBytes for mode bitcask; set one of them: %w",
			ErrArgument)
	case o.ValueCompression > ValueCompressionZstd:
		return fmt.Errorf("engine: open: %v, want zstd, lz4 or none: %w", o.ValueCompression, ErrArgument)
	case o.CacheBytes < 0:
		return fmt.Errorf("engine: open: a cache of %d bytes, want 0 (none) or more: %w", o.CacheBytes, ErrArgument)
	case o.SyncInterval != 0 && o.SyncInterval < syncIntervalMin:
		return fmt.Errorf("engine: open: sync interval of %v, want %v or more: %w", o.SyncInterval, syncIntervalMin,
			ErrArgument)
	}
	return o.Merge.check()
}

// checkMode refuses what the mode doesn't have. It is asked with the mode of the options, and again with that of the
// folder.
func (o Options) checkMode(m Mode) error {
	switch m {
	case ModeMemory:
		if o.ValueCompression != ValueCompressionNone {
			return fmt.Errorf("engine: open: ValueCompression is for mode bitcask; leave it out: %w", ErrArgument)
		}
		if o.MaxFileBytes != 0 {
			return fmt.Errorf("engine: open: MaxFileBytes is for mode bitcask; in mode memory set LogFileBytes: %w", ErrArgument)
		}
		if o.MapFiles {
			return fmt.Errorf("engine: open: MapFiles is for mode bitcask; in mode memory there are no data files to map, leave it "+
				"out: %w", ErrArgument)
		}
		if o.CacheBytes != 0 {
			return fmt.Errorf("engine: open: CacheBytes is for mode bitcask; in mode memory all values are in memory, leave it "+
				"out: %w", ErrArgument)
		}
	case ModeBitcask:
		return o.checkBitcask()
	}
	return nil
}

func (o Options) checkBitcask() error {
	switch {
	case o.Dir == "":
		return fmt.Errorf("engine: open: mode bitcask keeps values in files and needs a data folder; name one in Dir: %w",
			ErrArgument)
	case o.LogFileBytes != 0:
		return fmt.Errorf("engine: open: LogFileBytes is for mode memory; in mode bitcask set MaxFileBytes: %w", ErrArgument)
	case o.WALOff:
		return fmt.Errorf("engine: open: in mode bitcask the log holds the values, WALOff can't leave it out; "+
			"LevelNever is the level with the fewest syncs: %w", ErrArgument)
	case o.SnapshotLogBytes > 0:
		return fmt.Errorf("engine: open: in mode bitcask no snapshot makes files of the log superfluous; leave out "+
			"SnapshotLogBytes, and set SaveInterval for snapshots at regular intervals: %w", ErrArgument)
	}
	return nil
}
