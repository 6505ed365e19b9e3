package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/server"
)

// dataConfig is what the options of "nitrokv serve" about its data folder set.
type dataConfig struct {
	dir       string
	mode      engine.Mode // engine.ModeDefault: that of the folder
	wal       string
	level     engine.Level
	interval  time.Duration // as server.Options.SyncInterval
	fileBytes int64         // of the log's files, in mode memory
	dataBytes int64         // of data files, in mode bitcask
	packing   engine.ValueCompression
	cache     int64 // bytes, in mode bitcask
	mmap      string
	onIOError server.IOErrorPolicy
	save      saveConfig
	merge     mergeConfig
}

// noFolder is the name of no data folder.
const noFolder = "off"

func (c *dataConfig) options() []option {
	own := []option{
		{name: "dir", arg: "PATH", def: "./data", set: dirTo(&c.dir),
			help: "Data folder; made if it is missing. One server at a time can use it. off: there is none, and nothing is kept when the server stops"},
		{name: "mode", arg: "MODE", set: modeTo(&c.mode),
			help: "Where values lie. memory: everything in memory, log and snapshots bring it back; bitcask: keys in memory, values on disk. Without it: what the data folder was made for, memory if it is new"},
		{name: "wal", arg: "MODE", def: "on", set: wordTo(&c.wal, "on", "off"),
			help: "Write-ahead log; off: only snapshots are kept, so a crash takes what is newer than the last one"},
		{name: "sync", arg: "LEVEL", def: engine.LevelAlways.String(), set: syncTo(&c.level, &c.interval),
			help: "When a write is acknowledged. always: when it is on disk; everysec: when it is written, a power loss may take a second; interval=200ms: the same with another time, 10ms or more; never: the same, but syncs are not hurried. Killing the process loses nothing at any level"},
		{name: "log-file-size", arg: "SIZE", def: "64MiB", set: fileSizeTo(&c.fileBytes, 1<<40, "64KiB to 1024GiB, for example 64MiB or 1GiB"),
			help: "Size at which the log goes on in a new file, 64KiB to 1024GiB"},
		{name: "max-file-size", arg: "SIZE", def: "1GiB", set: fileSizeTo(&c.dataBytes, dataFileMax, "64KiB to 4092MiB, for example 64MiB or 1GiB"),
			help: "With --mode bitcask: size at which the data goes on in a new file, 64KiB to 4092MiB"},
		{name: "value-compression", arg: "METHOD", def: engine.ValueCompressionNone.String(), set: packingTo(&c.packing),
			help: "With --mode bitcask: compress values before they are written, if it makes them smaller. zstd is the smallest, lz4 the fastest, none"},
		{name: "cache-size", arg: "SIZE", def: "0", set: sizeTo(&c.cache),
			help: "With --mode bitcask: memory for values up to 4KiB that are read often, part of --max-memory; 0: every read of a value is one of its file"},
		{name: "mmap", arg: "MODE", def: "off", set: wordTo(&c.mmap, "on", "off"),
			help: "With --mode bitcask: read values through mappings of the data files, which is quicker while these are in the page cache, and slower where they are not; on amd64"},
		{name: "on-io-error", arg: "ACTION", def: server.IOErrorExit.String(), set: policyTo(&c.onIOError),
			help: "After a failed write or sync of the log: exit with status 3, or readonly: refuse writes and go on with reads of what is on disk"},
	}
	return slices.Concat(own, c.merge.options(), c.save.options())
}

// dataFileMax is the size of the largest data file.
const dataFileMax = 4092 << 20

// finish refuses options that have no effect without a log or a folder, or in the mode that there is: "--wal off --sync always"
// would promise what nobody keeps. Only flags contradict each other; a variable or a file may say more than this server
// needs.
func (c *dataConfig) finish(found map[string]setting) error {
	if c.mode == engine.ModeBitcask {
		if c.dir == noFolder {
			return fmt.Errorf("%s bitcask and --dir off: that mode keeps values on disk; name a data folder", label(found, "mode"))
		}
		return c.finishBitcask(found)
	}
	ofLog := []string{"sync", "log-file-size", "on-io-error", "snapshot-log-size", "log-retention"}
	ofFolder := append([]string{"save-interval", "snapshot-compression", "backup-dir"}, ofLog...)
	switch {
	case c.dir == noFolder:
		if found["wal"].from == fromFlag && c.wal == "on" {
			return errors.New("--wal on and --dir off: a log needs a data folder; drop one of them")
		}
		if err := refuseFlags(found, ofFolder, "--dir off: without a data folder nothing is written"); err != nil {
			return err
		}
	case c.wal == "off":
		if err := refuseFlags(found, ofLog, "--wal off: it is about a log, and there is none"); err != nil {
			return err
		}
	}
	if c.mode == engine.ModeDefault && c.dataBytes != server.DefaultMaxFileBytes {
		return needBitcask(found, "max-file-size") // the folder may be of that mode, and would get files of another size
	}
	if c.mode == engine.ModeDefault && c.packing != engine.ValueCompressionNone {
		return needBitcask(found, "value-compression")
	}
	if c.mode == engine.ModeDefault && c.cache != 0 {
		return needBitcask(found, "cache-size")
	}
	if c.mode == engine.ModeDefault && c.mmap == "on" {
		return needBitcask(found, "mmap")
	}
	for _, name := range append([]string{"max-file-size", "value-compression", "cache-size", "mmap"}, c.merge.names()...) {
		if found[name].from == fromFlag {
			return needBitcask(found, name)
		}
	}
	return nil
}

// needBitcask refuses an option that needs a mode which is not asked for.
func needBitcask(found map[string]setting, name string) error {
	return fmt.Errorf("%s is about data files, which mode bitcask alone has; add --mode bitcask, or drop it", label(found, name))
}

// finishBitcask refuses what mode bitcask doesn't have. That a folder is of that mode may be known only when it is open.
func (c *dataConfig) finishBitcask(found map[string]setting) error {
	if c.wal == "off" {
		return fmt.Errorf("%s off and mode bitcask: there the log is the data; drop one of them", label(found, "wal"))
	}
	if c.save.logBytes > 0 {
		return fmt.Errorf("%s and mode bitcask: there no snapshot makes files of the log superfluous; drop one of them, or use --save-interval", label(found, "snapshot-log-size"))
	}
	if c.fileBytes != server.DefaultLogFileBytes || found["log-file-size"].from == fromFlag {
		return fmt.Errorf("%s and mode bitcask: there --max-file-size is the size of the log's files; drop one of them", label(found, "log-file-size"))
	}
	return refuseFlags(found, []string{"snapshot-log-size", "snapshot-compression"},
		"mode bitcask: there a snapshot is links to the data files")
}

// explainMode says in the words of the options what the engine refuses because of the mode that it has found in the folder.
func (c *dataConfig) explainMode(err error, found map[string]setting) error {
	if c.mode == engine.ModeDefault && errors.Is(err, engine.ErrArgument) {
		if refused := c.finishBitcask(found); refused != nil {
			return fmt.Errorf("%s was made for mode bitcask: %w", c.dir, refused)
		}
	}
	return err
}

// label is how an error names a setting.
func label(found map[string]setting, name string) string {
	g := found[name]
	return g.label(&option{name: name})
}

// refuseFlags refuses the flags that something else makes pointless.
func refuseFlags(found map[string]setting, names []string, why string) error {
	for _, name := range names {
		if found[name].from == fromFlag {
			return fmt.Errorf("--%s and %s; drop one of them", name, why)
		}
	}
	return nil
}

// apply passes the settings on.
func (c *dataConfig) apply(o *server.Options, found map[string]setting) {
	if c.dir == noFolder {
		return
	}
	o.Dir, o.Mode = c.dir, c.mode
	c.save.apply(o)
	switch {
	case c.mode == engine.ModeBitcask:
		o.SnapshotLogBytes = 0
	case c.wal == "off":
		o.WALOff, o.SnapshotLogBytes, o.RetainFor, o.RetainBytes = true, 0, 0, 0
		return
	}
	o.Level, o.SyncInterval, o.OnIOError, o.Merge = c.level, c.interval, c.onIOError, c.merge.merge
	switch {
	case c.mode == engine.ModeBitcask:
		o.MaxFileBytes, o.ValueCompression, o.CacheBytes, o.MapFiles = c.dataBytes, c.packing, c.cache, c.mmap == "on"
	// else it is the default of the mode, which the folder may know alone; a flag is refused by a folder of mode bitcask
	case c.fileBytes != server.DefaultLogFileBytes || found["log-file-size"].from == fromFlag:
		o.LogFileBytes = c.fileBytes
	}
}

// announce says at the start what is kept and what can be lost.
func (c *dataConfig) announce(log *slog.Logger, mode engine.Mode) {
	if c.dir == noFolder {
		log.Warn("nothing is kept: there is no data folder, all data is gone when this process ends", "dir", noFolder)
		return
	}
	dir, err := filepath.Abs(c.dir)
	if err != nil { // the working directory is gone; the folder was opened all the same
		dir = c.dir
	}
	if c.wal == "off" {
		log.Info("data folder", "dir", dir, "wal", c.wal) // what a crash takes then, the server says
		return
	}
	log.Info("data folder", "dir", dir, "mode", mode.String(), "sync", c.syncText(), "a_power_loss_takes", c.loss(), "on_io_error", c.onIOError.String())
}

// syncText is the level as --sync takes it.
func (c *dataConfig) syncText() string {
	if c.interval > 0 {
		return syncInterval + c.interval.String()
	}
	return c.level.String()
}

// loss is what the level promises, in a few words.
func (c *dataConfig) loss() string {
	switch {
	case c.level == engine.LevelAlways:
		return "nothing that was acknowledged"
	case c.level != engine.LevelEverysec:
		return "the last seconds"
	case c.interval > 0:
		return "at most the last " + c.interval.String()
	}
	return "at most the last second"
}

// explain adds to an error about the data folder what can be typed next. The engine's own text says it as far as an
// engine can, which knows no flags, and is cut where a folder's name is very long.
func (c *dataConfig) explain(err error) error {
	err = withoutCode(err)
	check := "nitrokv check " + shellWord(c.dir)
	switch {
	case errors.Is(err, engine.ErrInUse):
		return fmt.Errorf("%w (--dir)", err)
	case errors.Is(err, engine.ErrCorrupt) && !strings.Contains(err.Error(), check):
		return fmt.Errorf("%w; see: %s", err, check)
	}
	return err
}

// withoutCode takes the text of the engine's code off the end of an error, where the engine's own words stand before it
// and say more; the chain stays.
func withoutCode(err error) error {
	var code engine.Error
	if !errors.As(err, &code) {
		return err
	}
	return &trimmed{err, strings.TrimSuffix(err.Error(), ": "+code.Error())}
}

// shellWord quotes what a shell would take apart.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+=:,@") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func dirTo(dst *string) func(string) error {
	return func(text string) error {
		if text == "" {
			return errors.New("empty; name a folder, for example ./data, or keep nothing with --dir off")
		}
		if strings.EqualFold(text, noFolder) {
			text = noFolder
		}
		*dst = text
		return nil
	}
}

// modeTo stores where values lie. What engine.ModeDefault stands for is said by leaving the option out.
func modeTo(dst *engine.Mode) func(string) error {
	return func(text string) error {
		for _, m := range []engine.Mode{engine.ModeMemory, engine.ModeBitcask} {
			if strings.EqualFold(text, m.String()) {
				*dst = m
				return nil
			}
		}
		return errors.New("unknown; use memory, bitcask")
	}
}

func packingTo(dst *engine.ValueCompression) func(string) error {
	return func(text string) error {
		c, err := engine.ParseValueCompression(strings.ToLower(text))
		if err != nil {
			return errors.New("unknown; use zstd, lz4, none")
		}
		*dst = c
		return nil
	}
}

// syncInterval begins a level that is everysec with another time than a second.
const syncInterval = "interval="

const (
	syncIntervalMin = 10 * time.Millisecond
	syncIntervalMax = time.Minute
)

// syncTo stores a level, and with interval=DURATION the time after which a write must have been synced.
func syncTo(dst *engine.Level, interval *time.Duration) func(string) error {
	return func(text string) error {
		*interval = 0
		word := strings.ToLower(text)
		if after, ok := strings.CutPrefix(word, syncInterval); ok {
			d, err := time.ParseDuration(after)
			if err != nil || d < syncIntervalMin || d > syncIntervalMax {
				return fmt.Errorf("not a time between %v and %v; write for example interval=200ms", syncIntervalMin, syncIntervalMax)
			}
			*dst, *interval = engine.LevelEverysec, d
			return nil
		}
		l, err := engine.ParseLevel(word)
		if err != nil {
			return errors.New("unknown; use always, everysec, interval=DURATION, never")
		}
		*dst = l
		return nil
	}
}

func policyTo(dst *server.IOErrorPolicy) func(string) error {
	return func(text string) error {
		p, err := server.ParseIOErrorPolicy(text)
		if err != nil {
			return errors.New("unknown; use exit, readonly")
		}
		*dst = p
		return nil
	}
}

// fileSizeTo stores a size from 64 KiB to high; allowed says the same for people.
func fileSizeTo(dst *int64, high int64, allowed string) func(string) error {
	return func(text string) error {
		n, err := parseSize(text)
		if err != nil {
			return err
		}
		if n < 64<<10 || n > high {
			return fmt.Errorf("out of range; use %s", allowed)
		}
		*dst = n
		return nil
	}
}
