package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/server"
)

// saveConfig is what the options of "nitrokv serve" about snapshots and old logs set.
type saveConfig struct {
	compression engine.Compression
	interval    time.Duration // as server.Options.SaveInterval
	logBytes    int64         // as server.Options.SnapshotLogBytes
	retainFor   time.Duration
	retainBytes int64
	backupDir   string
}

func (c *saveConfig) options() []option {
	return []option{
		{name: "save-interval", arg: "DURATION", def: "auto", set: saveIntervalTo(&c.interval),
			help: "Take a snapshot that often if something has changed, for example 60 or 5m; 0: never. auto: 60s with --wal off, else never"},
		{name: "snapshot-log-size", arg: "SIZE", def: "auto", set: snapshotLogTo(&c.logBytes),
			help: "Not with --mode bitcask: take a snapshot when the log since the last one has that size, and drop the log that it makes superfluous. auto: the size of the last snapshot, at least 256MiB; off: never"},
		{name: "snapshot-compression", arg: "METHOD", def: engine.CompressionZstd.String(), set: compressionTo(&c.compression),
			help: "Not with --mode bitcask, which has --value-compression: of snapshots and backups. zstd is the smallest, lz4 the fastest, none"},
		{name: "log-retention", arg: "DURATION|SIZE", def: "off", set: retentionTo(&c.retainFor, &c.retainBytes),
			help: "How far back every moment can be restored, as time or as size of log, for example 24h or 10GiB; off: log that no start needs goes. With --mode bitcask it is about the files that merges replace"},
		{name: "backup-dir", arg: "PATH", set: pathTo(&c.backupDir),
			help: "Folder in which the command BACKUP makes its files. Without it: backups, in the data folder"},
	}
}

// apply passes the settings on.
func (c *saveConfig) apply(o *server.Options) {
	o.Compression, o.SaveInterval, o.SnapshotLogBytes = c.compression, c.interval, c.logBytes
	o.RetainFor, o.RetainBytes, o.BackupDir = c.retainFor, c.retainBytes, c.backupDir
}

// saveIntervalTo translates to server.Options: 0 is automatic there, and never is negative. A plain number is seconds, as
// Redis has it.
func saveIntervalTo(dst *time.Duration) func(string) error {
	return func(text string) error {
		if strings.EqualFold(text, "auto") {
			*dst = 0
			return nil
		}
		if _, err := strconv.ParseUint(text, 10, 64); err == nil {
			text += "s"
		}
		if durationTo(dst)(text) != nil {
			return errors.New("not a duration; write for example 60, 5m or 1h, 0 for never, or auto")
		}
		switch {
		case *dst == 0:
			*dst = -1
		case *dst < time.Second:
			return errors.New("too often; use at least 1s")
		}
		return nil
	}
}

// snapshotLogTo translates to server.Options: 0 is automatic there, and never is negative.
func snapshotLogTo(dst *int64) func(string) error {
	return func(text string) error {
		switch strings.ToLower(text) {
		case "auto":
			*dst = 0
			return nil
		case "off", "0":
			*dst = -1
			return nil
		}
		return sizeTo(dst)(text)
	}
}

func compressionTo(dst *engine.Compression) func(string) error {
	return func(text string) error {
		c, err := engine.ParseCompression(strings.ToLower(text))
		if err != nil {
			return errors.New("unknown; use zstd, lz4, none")
		}
		*dst = c
		return nil
	}
}

// retentionTo stores a time or a size. A plain number could be either.
func retentionTo(age *time.Duration, bytes *int64) func(string) error {
	return func(text string) error {
		*age, *bytes = 0, 0
		if strings.EqualFold(text, "off") || text == "0" {
			return nil
		}
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			return fmt.Errorf("neither a time nor a size without a unit; write for example %sh or %sGiB", text, text)
		}
		if durationTo(age)(text) == nil && *age > 0 || sizeTo(bytes)(text) == nil && *bytes > 0 {
			return nil
		}
		return errors.New("neither a time nor a size; write for example 24h or 10GiB, or off")
	}
}
