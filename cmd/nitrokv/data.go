package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/server"
)

// dataConfig is what the options of "nitrokv serve" about its data folder set.
type dataConfig struct {
	dir       string
	wal       string
	fileBytes int64
	level     engine.Level
	onIOError server.IOErrorPolicy
	save      saveConfig
}

// noFolder is the name of no data folder.
const noFolder = "off"

func (c *dataConfig) options() []option {
	own := []option{
		{name: "dir", arg: "PATH", def: "./data", set: dirTo(&c.dir),
			help: "Data folder; made if it is missing. One server at a time can use it. off: there is none, and nothing is kept when the server stops"},
		{name: "wal", arg: "MODE", def: "on", set: wordTo(&c.wal, "on", "off"),
			help: "Write-ahead log; off: only snapshots are kept, so a crash takes what is newer than the last one"},
		{name: "sync", arg: "LEVEL", def: engine.LevelAlways.String(), set: syncTo(&c.level),
			help: "When a write is acknowledged. always: when it is on disk; everysec: when it is written, a power loss may take a second; never: the same, but syncs are not hurried. Killing the process loses nothing at any level"},
		{name: "log-file-size", arg: "SIZE", def: "64MiB", set: fileSizeTo(&c.fileBytes),
			help: "Size at which the log goes on in a new file, 64KiB to 1024GiB"},
		{name: "on-io-error", arg: "ACTION", def: server.IOErrorExit.String(), set: policyTo(&c.onIOError),
			help: "After a failed write or sync of the log: exit with status 3, or readonly: refuse writes and go on with reads of what is on disk"},
	}
	return append(own, c.save.options()...)
}

// finish refuses options that have no effect without a log or a folder: "--wal off --sync always" would promise what
// nobody keeps. Only flags contradict each other; a variable or a file may say more than this server needs.
func (c *dataConfig) finish(found map[string]setting) error {
	ofLog := []string{"sync", "log-file-size", "on-io-error", "snapshot-log-size", "log-retention"}
	ofFolder := append([]string{"save-interval", "snapshot-compression", "backup-dir"}, ofLog...)
	switch {
	case c.dir == noFolder:
		if found["wal"].from == fromFlag && c.wal == "on" {
			return errors.New("--wal on and --dir off: a log needs a data folder; drop one of them")
		}
		return refuseFlags(found, ofFolder, "--dir off: without a data folder nothing is written")
	case c.wal == "off":
		return refuseFlags(found, ofLog, "--wal off: it is about a log, and there is none")
	}
	return nil
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
func (c *dataConfig) apply(o *server.Options) {
	if c.dir == noFolder {
		return
	}
	o.Dir = c.dir
	c.save.apply(o)
	if c.wal == "off" {
		o.WALOff, o.SnapshotLogBytes, o.RetainFor, o.RetainBytes = true, 0, 0, 0
		return
	}
	o.LogFileBytes, o.Level, o.OnIOError = c.fileBytes, c.level, c.onIOError
}

// announce says at the start what is kept and what can be lost.
func (c *dataConfig) announce(log *slog.Logger) {
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
	log.Info("data folder", "dir", dir, "sync", c.level.String(), "a_power_loss_takes", lossAt(c.level), "on_io_error", c.onIOError.String())
}

// lossAt is what a level promises, in a few words.
func lossAt(l engine.Level) string {
	switch l {
	case engine.LevelAlways:
		return "nothing that was acknowledged"
	case engine.LevelEverysec:
		return "at most the last second"
	}
	return "the last seconds"
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

func syncTo(dst *engine.Level) func(string) error {
	return func(text string) error {
		l, err := engine.ParseLevel(strings.ToLower(text))
		if err != nil {
			return errors.New("unknown; use always, everysec, never")
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

func fileSizeTo(dst *int64) func(string) error {
	return func(text string) error {
		n, err := parseSize(text)
		if err != nil {
			return err
		}
		if n < 64<<10 || n > 1<<40 {
			return errors.New("out of range; use 64KiB to 1024GiB, for example 64MiB or 1GiB")
		}
		*dst = n
		return nil
	}
}
